import type { OnnxModel, Runtime, Session, TensorValues } from '@unif2ace/graph';
import type { ModelConfig } from '../model/config.ts';
import {
  denoiseModel,
  detokenizeModel,
  featureModel,
  imagePrefixModel,
  promptModel,
  textModel,
  tokenizeModel,
} from '../model/graphs.ts';
import type { LoadedModel } from '../model/source.ts';

/** Graphs by use; the sizes are rows, of `text` text tokens and rows. */
const builders = {
  tokenize: tokenizeModel,
  detokenize: detokenizeModel,
  feature: featureModel,
  prompt: promptModel,
  denoise: denoiseModel,
  imagePrefix: imagePrefixModel,
  text: textModel,
} as const;

type Build = (config: ModelConfig, weights: LoadedModel['weights'], ...sizes: number[]) => OnnxModel;

/** The graphs of a model on a runtime: built when first needed, kept by shape. */
export class GraphCache {
  readonly #model: LoadedModel;
  readonly #runtime: Runtime;
  readonly #sessions = new Map<string, Promise<Session>>();

  constructor(model: LoadedModel, runtime: Runtime) {
    this.#model = model;
    this.#runtime = runtime;
  }

  get(kind: keyof typeof builders, ...sizes: number[]): Promise<Session> {
    const key = `${kind}:${sizes.join()}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const build: Build = builders[kind];
    const session = this.#runtime.createSession(build(this.#model.config, this.#model.weights, ...sizes));
    this.#sessions.set(key, session);
    return session;
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#sessions.values()].map(async (session) => (await session).release()));
    this.#sessions.clear();
  }
}

/** Of these feeds those that the graph has: a single layer's keys and values depend on neither mask nor features. */
export function needed(session: Session, feeds: TensorValues): TensorValues {
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => session.inputNames.includes(name)));
}

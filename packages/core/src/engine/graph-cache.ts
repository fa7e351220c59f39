import { type OnnxModel, quantizeModel, type Runtime, type Session, type TensorValues } from '@unif2ace/graph';
import type { RoutingMode } from '../backbone/experts/router.ts';
import {
  denoiseModel,
  detokenizeModel,
  featureModel,
  imagePrefixModel,
  promptModel,
  routingModel,
  textModel,
  tokenizeModel,
} from '../model/graphs.ts';
import type { LoadedModel } from '../model/source.ts';

type Build = (model: LoadedModel, mode: RoutingMode, sizes: readonly number[]) => OnnxModel;

/** Graphs by use; the sizes are rows, of `text` text tokens and rows. */
const builders = {
  tokenize: ({ config, weights }, _, [rows]) => tokenizeModel(config, weights, rows!),
  detokenize: ({ config, weights }, _, [rows]) => detokenizeModel(config, weights, rows!),
  feature: ({ config, weights }, _, [rows]) => featureModel(config, weights, rows!),
  prompt: ({ config, weights }, mode, [rows]) => promptModel(config, weights, rows!, mode),
  denoise: ({ config, weights }, mode, [rows]) => denoiseModel(config, weights, rows!, mode),
  routing: ({ config, weights }, mode) => routingModel(config, weights, mode),
  imagePrefix: ({ config, weights }, mode) => imagePrefixModel(config, weights, mode),
  text: ({ config, weights }, mode, [tokens, rows]) => textModel(config, weights, tokens!, rows!, mode),
} as const satisfies Record<string, Build>;

/** How exact the matrices of the backbone are; pictures and encoders stay float32. */
export type Precision = 'fp32' | 'int8' | 'int4';

/** Graphs without the backbone: mostly convolutions, which stay as they are. */
const pictures: readonly string[] = ['tokenize', 'detokenize', 'feature'];

/** The graphs of a model on a runtime: built when first needed, kept by shape. */
export class GraphCache {
  readonly #model: LoadedModel;
  readonly #runtime: Runtime;
  readonly #sessions = new Map<string, Promise<Session>>();

  readonly #precision: Precision;

  constructor(model: LoadedModel, runtime: Runtime, precision: Precision = 'fp32') {
    this.#model = model;
    this.#precision = precision;
    this.#runtime = runtime;
  }

  get(kind: keyof typeof builders, ...sizes: number[]): Promise<Session> {
    // a device that was lost takes its way of choosing experts with it
    const mode = this.#runtime.denseExperts ? 'dense' : 'sparse';
    const key = `${kind}:${mode}:${sizes.join()}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const build: Build = builders[kind];
    const model = build(this.#model, mode, sizes);
    const session = this.#runtime.createSession(pictures.includes(kind) ? model : this.#reduced(model));
    this.#sessions.set(key, session);
    return session;
  }

  #reduced(model: OnnxModel): OnnxModel {
    if (this.#precision === 'fp32') return model;
    // a router's small error changes which expert is asked
    const keep = (name: string) => name.endsWith('gate.weight');
    return quantizeModel(model, { bits: this.#precision === 'int8' ? 8 : 4, keep });
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

import { convLayer, groupNormLayer } from '@unif2ace/core';
import {
  add,
  FlatState,
  input,
  maximum,
  neg,
  ParamScope,
  type Runtime,
  reduceMean,
  sub,
  swish,
  type Tensor,
  type TensorValue,
} from '@unif2ace/graph';
import { AdamW, clipGradNorm } from './adamw.ts';
import { averageOverRanks } from './collective/agreement.ts';
import type { Collective } from './collective/collective.ts';
import type { Companion } from './loop.ts';
import { TrainGraph } from './train-graph.ts';

export interface AdversarySettings {
  /** Weight of the adversarial term in the tokenizer's loss. */
  weight: number;
  /** Step at which the discriminator begins to learn; the tokenizer hears it after as many steps as its warm-up has. */
  fromStep: number;
  /** Channels of each level; every level halves the sides. */
  channels: readonly number[];
  learningRate: number;
}

const norm = { groups: 8, epsilon: 1e-6 };

/** Real or made, for each patch [B, 1, h, w] (PatchGAN, Isola et al. 2017, with group norm). */
function judgePatches(scope: ParamScope, pixels_BCHW: Tensor, channels: readonly number[]): Tensor {
  let x = pixels_BCHW;
  channels.forEach((width, level) => {
    const stage = scope.at(level);
    x = convLayer(stage.at('conv'), x, width, 3, { stride: 2, padding: [0, 0, 1, 1] });
    if (level > 0) x = groupNormLayer(stage.at('norm'), x, norm);
    x = swish(x);
  });
  return convLayer(scope.at('out'), x, 1, 3);
}

/** Hinge loss of the discriminator: mean of max(0, 1 − real) and max(0, 1 + made). */
function hingeLoss(real: Tensor, made: Tensor): Tensor {
  return add(reduceMean(maximum(sub(1, real), 0)), reduceMean(maximum(add(made, 1), 0)));
}

/** A discriminator of patches that learns beside the tokenizer, with a state and an optimiser of its own. */
export class PatchAdversary implements Companion {
  readonly #settings: AdversarySettings;
  readonly #warmupSteps: number;
  readonly #collective: Collective;
  readonly #root = new ParamScope();
  readonly #state: FlatState;
  readonly #optimizer: AdamW;
  readonly #shape: readonly [number, number, number, number];
  #graph: TrainGraph | undefined;

  /** @param shape of a rank's pictures, [B, 3, S, S]. */
  constructor(
    settings: AdversarySettings,
    shape: readonly [number, number, number, number],
    { seed, warmupSteps, collective }: { seed: number; warmupSteps: number; collective: Collective },
  ) {
    this.#settings = settings;
    this.#warmupSteps = warmupSteps;
    this.#collective = collective;
    this.#shape = shape;
    judgePatches(this.#root.at('adversary'), input('made', shape), settings.channels);
    this.#state = new FlatState(this.#root.specs()).initialize(seed);
    this.#optimizer = new AdamW(this.#state, {
      learningRate: settings.learningRate,
      betas: [0.5, 0.99],
      weightDecay: 0,
      noDecay: () => true,
    });
  }

  /** The tokenizer's adversarial term in its graph, and the discriminator's parameters, which that graph must not train. */
  term(scope: ParamScope, made: Tensor): { loss: Tensor; frozen: Map<string, Float32Array> } {
    const loss = neg(reduceMean(judgePatches(scope.at('adversary'), made, this.#settings.channels)));
    return { loss, frozen: new Map(this.#state.specs.map(({ name }) => [name, this.#state.param(name)])) };
  }

  /** Weight of the term at a step. */
  weightAt(step: number): number {
    return step < this.#settings.fromStep + this.#warmupSteps ? 0 : this.#settings.weight;
  }

  async compile(runtime: Runtime): Promise<void> {
    const { channels } = this.#settings;
    const scope = this.#root.at('adversary');
    const [real, made] = ['real', 'made'].map((name) => judgePatches(scope, input(name, this.#shape), channels));
    this.#graph = await TrainGraph.compile(hingeLoss(real!, made!), {}, this.#root, this.#state, { runtime });
  }

  get arrays(): Record<string, Float32Array> {
    const { params, m, v } = this.#state;
    return { 'adversary.params': params, 'adversary.m': m, 'adversary.v': v };
  }

  /** Learns from a step's pictures on all ranks, once its time has come. */
  async learn(step: number, real: TensorValue, made: Float32Array): Promise<Record<string, number>> {
    if (step < this.#settings.fromStep) return {};
    const outputs = await this.#graph!.run({ real, made: { dtype: 'float32', shape: this.#shape, data: made } });
    averageOverRanks(this.#collective, this.#state.grads);
    clipGradNorm(this.#state.grads, 1);
    // not kept in the checkpoint: it follows from the step
    this.#optimizer.steps = step - this.#settings.fromStep;
    this.#optimizer.step();
    return { discriminator: outputs.loss![0]! };
  }

  async release(): Promise<void> {
    await this.#graph?.release();
  }
}

import { type LayerRouting, type LoadedModel, mmuLoss, type Task, t2iLoss } from '@unif2ace/core';
import { buildModel, cast, ParamScope, type Runtime, type TensorValues } from '@unif2ace/graph';
import { type FaceRecord, loadFacesAtSizes } from '../data/celeba.ts';
import { encodeFaces } from '../training/encode-faces.ts';
import type { ModelStage } from '../training/recipe.ts';
import { answerSlots, SequenceBatches } from '../training/sequence-batches.ts';

// T tokens (or sequences), E experts, K experts a token

/** How one router spreads its tokens over its experts. */
export interface RouterLoad {
  task: Task;
  level: 'token' | 'sequence';
  layer: number;
  /** Names of the experts: numbers at the token level, kinds at the sequence level. */
  experts: string[];
  /** Share of all assignments that goes to each expert; 1/E where all are used alike. */
  load: number[];
  /** Mean score of each expert. */
  meanScore: number[];
  /** Entropy of `load` over log E: 1 where all are used alike, 0 where one takes all. */
  loadEntropy: number;
  /** Mean entropy of a token's scores over log E: 1 where the router does not care, 0 where it is certain. */
  scoreEntropy: number;
  /** Σ f·P of the balance loss: 1 at perfect balance. */
  balance: number;
  /** Experts with less than a tenth of an equal share: the sign of a collapse. */
  idle: string[];
}

export interface RoutingReport {
  faces: number;
  /** Tokens routed at the token level, padding left out, by task. */
  tokens: Record<Task, number>;
  routers: RouterLoad[];
}

const idleShare = 0.1;

/** Sequences as in training, without dropped prompts: masked faces with captions, faces with a caption and a question. */
function stageOf(batch: number, questionTokens: number): ModelStage {
  return {
    name: 'routing',
    steps: 1,
    learningRate: 0,
    warmupSteps: 0,
    weightDecay: 0,
    clipNorm: 1,
    emaDecay: 0,
    t2iBatch: batch,
    mmuBatch: batch,
    questionsPerFace: 1,
    answerBalance: [0, 0],
    questionTokens,
    conditionDropout: 0,
    mmuCoefficient: 1,
    balanceCoefficient: 0,
    loss: { terms: 'both', alpha: 0.01, law: 'cosine', parameterization: 'normalized' },
  };
}

/**
 * Routes faces and their texts through a model, both tasks, and counts where they go: the paper's routing-stability check.
 * @throws RangeError for a model without experts, or for fewer faces than make a batch.
 */
export async function evaluateRouting(
  { config, weights, tokenizer }: LoadedModel,
  records: readonly FaceRecord[],
  runtime: Runtime,
  options: { seed?: number; batch?: number; onProgress?: (done: number, total: number) => void } = {},
): Promise<RoutingReport> {
  const { seed = 0, batch = Math.min(8, records.length), onProgress } = options;
  if (!config.backbone.tokenMoe && !config.backbone.sequenceMoe)
    throw new RangeError('evaluateRouting: expected a model with experts, got one without');
  const stage = stageOf(batch, config.answerTokens);
  const [forTokenizer, forEncoder] = await loadFacesAtSizes(records, [config.imageSize, config.faceEncoder.imageSize]);
  const images = {
    forTokenizer: { size: config.imageSize, data: forTokenizer! },
    forEncoder: { size: config.faceEncoder.imageSize, data: forEncoder! },
  };
  const encoded = await encodeFaces(config, weights, images, records.length, runtime);
  const labels = records.map(({ attributes }) => attributes);
  const batches = new SequenceBatches(config, tokenizer, encoded, labels, stage, seed);

  const root = new ParamScope();
  const routings = {
    t2i: t2iLoss(root, config, { batch }).routings,
    mmu: mmuLoss(root, config, { batch, slots: answerSlots(config, stage) }).routings,
  };
  const tallies = (['t2i', 'mmu'] as const).flatMap((task) =>
    routings[task].map((routing) => new Tally(task, routing, config.backbone.sequenceMoe?.[task] ?? [])),
  );
  const session = await runtime.createSession(
    buildModel(Object.assign({}, ...tallies.map((tally) => tally.outputs)), { parameters: weights }),
  );
  const known = new Set(session.inputNames);
  const steps = Math.ceil(records.length / batch);
  for (let step = 0; step < steps; step++) {
    onProgress?.(step * batch, records.length);
    const feeds = batches.at({ step, part: 0, parts: 1 });
    const outputs = await session.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => known.has(name))));
    for (const tally of tallies) tally.add(outputs, feeds[`${tally.task}.rows`]!.data as Float32Array);
  }
  await session.release();
  const tokensOf = (task: Task) => tallies.find((tally) => tally.task === task && tally.level === 'token')?.rows ?? 0;
  return {
    faces: records.length,
    tokens: { t2i: tokensOf('t2i'), mmu: tokensOf('mmu') },
    routers: tallies.map((tally) => tally.load()),
  };
}

class Tally {
  readonly task: Task;
  readonly level: 'token' | 'sequence';
  readonly layer: number;
  /** Rows counted. */
  rows = 0;
  readonly #names: string[];
  readonly #chosen: Float64Array;
  readonly #scores: Float64Array;
  #entropy = 0;
  readonly #routing: LayerRouting;

  constructor(task: Task, routing: LayerRouting, kinds: readonly string[]) {
    const experts = routing.scores.dim(1);
    this.task = task;
    this.level = routing.level;
    this.layer = routing.layer;
    this.#names = Array.from({ length: experts }, (_, e) => (this.level === 'sequence' ? kinds[e]! : String(e)));
    this.#chosen = new Float64Array(experts);
    this.#scores = new Float64Array(experts);
    this.#routing = routing;
  }

  get #key(): string {
    return `${this.task}.${this.level}${this.layer}`;
  }

  get outputs() {
    return {
      [`${this.#key}.scores`]: this.#routing.scores,
      [`${this.#key}.chosen`]: cast(this.#routing.routing.indices_TK, 'int32'),
    };
  }

  /** Counts a batch; `weights_T` leaves the padding of the token level out. */
  add(outputs: TensorValues, weights_T: Float32Array): void {
    const experts = this.#names.length;
    const scores_TE = outputs[`${this.#key}.scores`]!.data as Float32Array;
    const chosen_TK = outputs[`${this.#key}.chosen`]!.data as Int32Array;
    const rows = scores_TE.length / experts;
    const k = chosen_TK.length / rows;
    for (let row = 0; row < rows; row++) {
      if (this.level === 'token' && weights_T[row] === 0) continue;
      this.rows++;
      for (let j = 0; j < k; j++) this.#chosen[chosen_TK[row * k + j]!]!++;
      for (let e = 0; e < experts; e++) {
        const score = scores_TE[row * experts + e]!;
        this.#scores[e]! += score;
        if (score > 0) this.#entropy -= score * Math.log(score);
      }
    }
  }

  load(): RouterLoad {
    const experts = this.#names.length;
    const total = this.#chosen.reduce((sum, count) => sum + count, 0);
    const load = Array.from(this.#chosen, (count) => count / total);
    const meanScore = Array.from(this.#scores, (score) => score / this.rows);
    const scale = Math.log(experts);
    const relative = (entropy: number) => (experts > 1 ? entropy / scale : 1);
    return {
      task: this.task,
      level: this.level,
      layer: this.layer,
      experts: this.#names,
      load,
      meanScore,
      loadEntropy: relative(load.reduce((sum, share) => sum - (share > 0 ? share * Math.log(share) : 0), 0)),
      scoreEntropy: relative(this.#entropy / this.rows),
      balance: load.reduce((sum, share, e) => sum + experts * share * meanScore[e]!, 0),
      idle: this.#names.filter((_, e) => load[e]! < idleShare / experts),
    };
  }
}

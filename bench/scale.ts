import { imageTokens, layoutOf, ModelConfig, mmuLoss, t2iLoss } from '@unif2ace/core';
import { add, buildModel, gradients, ParamScope, type Tensor } from '@unif2ace/graph';

// Memory and time of training `base` on 1 to 64 GPUs, computed from the graph that would run: docs/scale.md.
// npx tsx --conditions=source bench/scale.ts

type Node = Tensor['node'];

/** Assumptions; everything else is counted. */
const assumed = {
  /** Sequences of a whole step: as many of either task. */
  totalBatch: 512,
  /** A part that one GPU computes at once: sequences of each task. */
  partBatch: 4,
  /** One GPU with TF32 products (A100: 156 TFLOP/s), 40 % of which our products reach. */
  flopsPerSecond: 0.4 * 156e12,
  /** Host memory to GPU and back, PCIe 4 × 16. */
  copyBytesPerSecond: 25e9,
  /** What a rank moves in an all-reduce: eight share a host's memory and a 200 Gbit/s link carries the ring. */
  reduceBytesPerSecond: 10e9,
  /** Clipping, AdamW and moving average on one host core, ns a parameter: measured over 8 M parameters on a busy machine. */
  optimizerNsPerParameter: 6,
} as const;

const gpuCounts = [1, 2, 4, 8, 16, 32, 64];

/** Phi-1.5 with 2 × (1 + 8) token experts of hidden width 640, sequence experts, Show-o's tokenizer and sequences. */
function baseConfig(): ModelConfig {
  const tokenizer = { codeBits: 13 };
  const textVocabSize = 50_295;
  const vocabSize = layoutOf({ textVocabSize, tokenizer: { codeBits: 13, codeGroups: 1 } as ModelConfig['tokenizer'] });
  return ModelConfig.parse({
    format: 'unif2ace-1',
    name: 'base',
    imageSize: 256,
    tokenizer,
    textVocabSize,
    promptTokens: 128,
    answerTokens: 128,
    faceEncoder: { imageSize: 96, channels: [256, 1024], width: 512 },
    backbone: {
      phi: { vocabSize: vocabSize.vocabSize },
      tokenMoe: { router: { experts: 8, topK: 4 }, routedHidden: 640, sharedHidden: 640 },
      sequenceMoe: {},
      resampler: { sizes: {}, shared: true },
      features: { face: { width: 512, tokens: 1 }, clip: { width: 1024, tokens: 576 }, noise: { width: 256 } },
    },
  });
}

/** Operators whose output lies where their input does. */
const views = new Set(['Alias', 'Identity', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten']);

/** A training step of one sequence of each task: parameters, products and the most memory of intermediate results. */
function measureGraph(config: ModelConfig) {
  const root = new ParamScope();
  const t2i = t2iLoss(root, config, { batch: 1 });
  const mmu = mmuLoss(root, config, { batch: 1, slots: [config.answerTokens] });
  const derived = gradients(add(t2i.loss, mmu.loss), root.tensors());
  const nodes = reachable(derived);
  const rowsPerExpert = expectedRows(config);
  const size = ({ shape }: Tensor) =>
    shape.reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : rowsPerExpert), 1);

  const { flops = 0 } = buildModel(Object.fromEntries(derived.map((gradient, i) => [`gradient.${i}`, gradient])));
  /** First tensor of each view. */
  const owner = new Map<Tensor, Tensor>();
  const own = (tensor: Tensor): Tensor => owner.get(tensor) ?? tensor;
  const lastUse = new Map<Tensor, number>();
  nodes.forEach((node, at) => {
    if (views.has(node.op)) for (const output of node.outputs) owner.set(output, own(node.inputs[output.index]!));
    for (const used of node.inputs) if (used) lastUse.set(own(used), at);
  });
  // gradients of parameters stay until the end: they are counted by parameter, not here
  const kept = new Set([...derived.map(own), ...root.tensors()]);
  const ends = new Map<number, Tensor[]>();
  for (const [tensor, at] of lastUse) ends.set(at, [...(ends.get(at) ?? []), tensor]);
  let [live, peak] = [0, 0];
  nodes.forEach((node, at) => {
    const isStored = node.op === 'Parameter' || node.op === 'Constant' || views.has(node.op);
    if (!isStored) for (const output of node.outputs) if (!kept.has(output)) live += 4 * size(output);
    peak = Math.max(peak, live);
    for (const tensor of ends.get(at) ?? []) {
      const { op } = tensor.node;
      if (op !== 'Parameter' && op !== 'Constant' && !kept.has(tensor)) live -= 4 * size(tensor);
    }
  });
  const parameters = root.specs().reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return { parameters, flops, activationBytes: peak };
}

/** Rows that one routed expert gets of one sequence when experts are balanced. */
function expectedRows(config: ModelConfig): number {
  const { experts, topK } = config.backbone.tokenMoe!.router;
  return ((config.promptTokens + imageTokens(config) + 3) * topK) / experts;
}

/** Nodes that the tensors need, in the order in which they were made: forward, then backward. */
function reachable(tensors: readonly Tensor[]): Node[] {
  const found = new Map<number, Node>();
  const open = tensors.map(({ node }) => node);
  for (let node = open.pop(); node; node = open.pop()) {
    if (found.has(node.id)) continue;
    found.set(node.id, node);
    for (const source of node.inputs) if (source) open.push(source.node);
  }
  return [...found.values()].sort((a, b) => a.id - b.id);
}

/** Seconds of a step's parts on each rank. */
function stepSeconds(ranks: number, { parameters, flops }: ReturnType<typeof measureGraph>) {
  const parts = assumed.totalBatch / (2 * assumed.partBatch * ranks);
  const bytes = 4 * parameters;
  return {
    compute: (parts * assumed.partBatch * flops) / assumed.flopsPerSecond,
    // parameters to the GPU and gradients from it, each part
    copies: (parts * 2 * bytes) / assumed.copyBytesPerSecond,
    reduce: (2 * ((ranks - 1) / ranks) * bytes) / assumed.reduceBytesPerSecond,
    optimizer: assumed.optimizerNsPerParameter * 1e-9 * parameters,
  };
}

const measured = measureGraph(baseConfig());
const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
const { parameters, flops, activationBytes } = measured;
console.log(`parameters ${(parameters / 1e9).toFixed(3)} B`);
console.log(`products of a sequence of each task, forward and backward: ${(flops / 1e12).toFixed(2)} TFLOP`);
console.log(`intermediate results of a sequence of each task: ${gigabytes(activationBytes)}`);
console.log(
  `host memory a rank: ${gigabytes(24 * parameters)} (parameters, gradients, their sum, two moments, average)`,
);
console.log(`GPU memory: ${gigabytes(8 * parameters + assumed.partBatch * activationBytes)}\n`);
console.log('| GPUs | parts | compute | copies | all-reduce | optimiser | step | without copies | speed-up |');
console.log('| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
const total = (ranks: number) => {
  const { compute, copies, reduce, optimizer } = stepSeconds(ranks, measured);
  return compute + copies + reduce + optimizer;
};
for (const ranks of gpuCounts) {
  const { compute, copies, reduce, optimizer } = stepSeconds(ranks, measured);
  const seconds = [compute, copies, reduce, optimizer, total(ranks), total(ranks) - copies];
  const parts = assumed.totalBatch / (2 * assumed.partBatch * ranks);
  const cells = seconds.map((value) => `${value.toFixed(1)} s`);
  console.log(`| ${[ranks, parts, ...cells, (total(1) / total(ranks)).toFixed(1)].join(' | ')} |`);
}

import {
  add,
  concat,
  constant,
  input,
  linearCrossEntropy,
  mul,
  type ParamScope,
  reduceMean,
  reduceSum,
  reshape,
  scalar,
  slice,
  softplus,
  sub,
  type Tensor,
} from '@unif2ace/graph';
import { phiHead } from '../backbone/phi.ts';
import { type LayerRouting, type UnifiedInputs, unifiedBackbone } from '../backbone/unified.ts';
import { maskedTokenLoss, type ScoreParameterization, scoreTokenLoss } from '../diffusion/d3diff-graph.ts';
import { packedPositions } from '../prompt/packing.ts';
import { embedImage } from './code-embedding.ts';
import { imageCodes, imageTokens, layoutOf, type ModelConfig } from './config.ts';
import { modelScopes } from './names.ts';

// B batch, L sequence, N image positions, G codes of a position, R answer rows, D hidden

export interface LossGraph {
  /** Weighted loss without the balance terms. */
  loss: Tensor;
  /** Mean over layers of the token-level (and sequence-level) balance terms: 1 at perfect balance. */
  balance: Tensor;
  /** With `contrast`: see `T2iLossOptions`. */
  contrast?: Tensor;
  /** Cross-entropy of every target row, unweighted, for reporting. */
  rows: Tensor;
  routings: LayerRouting[];
}

function meanBalance(routings: readonly LayerRouting[]): Tensor {
  if (routings.length === 0) return scalar(0);
  return mul(
    routings.map(({ balance }) => balance).reduce((a, b) => add(a, b)),
    1 / routings.length,
  );
}

function hiddenOf(
  root: ParamScope,
  config: ModelConfig,
  ids_BL: Tensor,
  inputs: UnifiedInputs & { span: { start: number; length: number } },
) {
  const scope = modelScopes(root).backbone;
  const embeds_BLD = embedImage(scope, config, ids_BL, inputs.span, `${inputs.task}.others`);
  return unifiedBackbone(scope, config.backbone, embeds_BLD, inputs);
}

/** Rows [B·count, D] of the positions start … start + count − 1. */
function rowsAt(hidden_BLD: Tensor, start: number, count: number): Tensor {
  return reshape(slice(hidden_BLD, 1, start, start + count), [hidden_BLD.dim(0) * count, hidden_BLD.dim(2)]);
}

export interface T2iLossOptions {
  batch: number;
  /**
   * Every so many sequences, beginning with the first, one is told apart by its words: behind the batch follow as many sequences of
   * the same masked images under words that are false of them (they have no share in D3Diff).
   */
  contrastEvery?: number | undefined;
  parameterization?: ScoreParameterization;
}

/**
 * D3Diff of a text-to-image batch (paper §1.6) over the N·G codes of each image. Inputs: `t2i.ids` int32 [B, L] with masked
 * codes, with G > 1 `t2i.others` int32 [B, N·(G−1)], `t2i.mask` additive [B, 1, L, L], `t2i.rows` [B·L] (0 for padding),
 * `t2i.ratio` [B] share of masked codes, `t2i.targets` int32 [B·N·G] codes, `t2i.weights` [B·N·G] each code's weight (0 where
 * visible); with another parameterisation also `t2i.scoreWeights`. With `contrastEvery`, B counts the false sequences too, and
 * `t2i.contrastWeights` [P·N·G] weighs the codes of the P pairs in contrast = mean over pairs of −log σ(Σ w·(log p(code | true words) −
 * log p(code | false words))): with weights of 1 how surely the model, read as a classifier of what it sees, picks the true words
 * (Ng and Jordan 2002 on generative and discriminative training; Chen et al. 2024, condition contrastive alignment).
 * @throws Error for `fullVocabulary` with several codes a position: one softmax cannot hold the mass of each group.
 */
export function t2iLoss(
  root: ParamScope,
  config: ModelConfig,
  { batch: told, contrastEvery, parameterization = 'normalized' }: T2iLossOptions,
): LossGraph {
  const tokens = imageTokens(config);
  const pairs = contrastEvery ? told / contrastEvery : 0;
  const batch = told + pairs;
  const length = config.promptTokens + 1 + tokens + 2;
  const start = config.promptTokens + 2;
  const layout = layoutOf(config);
  const { hidden_BLD, routings } = hiddenOf(root, config, input('t2i.ids', [batch, length], 'int32'), {
    task: 't2i',
    mask: input('t2i.mask', [batch, 1, length, length]),
    span: { start, length: tokens },
    features: { maskRatio_B: input('t2i.ratio', [batch]) },
    rowWeights_T: input('t2i.rows', [batch * length]),
  });
  const { weight_VD: weight_AD, bias_V: bias_A } = phiHead(modelScopes(root).backbone, config.backbone.phi);
  const { codeGroups, codes } = layout;
  if (parameterization === 'fullVocabulary' && codeGroups > 1)
    throw new Error(`t2iLoss: fullVocabulary expects one code a position, got ${codeGroups}; try normalized`);
  const rows_ND = rowsAt(hidden_BLD, start, tokens);
  const count = batch * imageCodes(config);
  const targets_NG = reshape(input('t2i.targets', [count], 'int32'), [batch * tokens, codeGroups]);
  /** A loss of each code, group by group, in the order of the codes. */
  const perCode = (lossOf: typeof maskedTokenLoss): Tensor => {
    const columns = Array.from({ length: codeGroups }, (_, group) => {
      const head = { weight_AD, bias_A, codeOffset: layout.codeOffset + group * codes, codes };
      const targets = reshape(slice(targets_NG, 1, group, group + 1), [batch * tokens]);
      return reshape(lossOf(rows_ND, head, targets), [batch * tokens, 1]);
    });
    return reshape(columns.length > 1 ? concat(columns, 1) : columns[0]!, [count]);
  };
  const ce = perCode(maskedTokenLoss);
  let loss = reduceSum(mul(ce, input('t2i.weights', [count])));
  if (parameterization !== 'normalized') {
    const score = perCode((rows, head, targets) => scoreTokenLoss(rows, head, targets, parameterization));
    loss = add(loss, reduceSum(mul(score, input('t2i.scoreWeights', [count]))));
  }
  const result = { loss, balance: meanBalance(routings), rows: ce, routings };
  if (!contrastEvery) return result;
  const each = imageCodes(config);
  const ofTrue = slice(reshape(slice(ce, 0, 0, told * each), [pairs, contrastEvery * each]), 1, 0, each);
  const ofFalse = reshape(slice(ce, 0, told * each, count), [pairs, each]);
  const weights = reshape(input('t2i.contrastWeights', [pairs * each]), [pairs, each]);
  const contrast = reduceMean(softplus(reduceSum(mul(weights, sub(ofTrue, ofFalse)), 1)));
  return { ...result, contrast };
}

export interface MmuLossOptions {
  batch: number;
  /** Room of each text about the image, see `packedAnswers`. Default: one of answerTokens. */
  slots?: readonly number[];
}

/**
 * Next-token loss of answers about images. Inputs: `mmu.ids` int32 [B, L], with G > 1 `mmu.others` int32 [B, N·(G−1)], `mmu.mask` [1, 1, L, L], `mmu.rows`, `mmu.face`
 * [B, M, F], `mmu.clip` [B, P, C], `mmu.targets` int32 [B·R] (0 where not counted), `mmu.weights` [B·R], R = sum of the
 * slots. The first token of a slot cannot be a target: the row before it belongs to another text.
 */
export function mmuLoss(root: ParamScope, config: ModelConfig, { batch, slots }: MmuLossOptions): LossGraph {
  const room = slots ?? [config.answerTokens];
  const answers = room.reduce((sum, length) => sum + length, 0);
  const tokens = imageTokens(config);
  const prefix = tokens + 3;
  const length = prefix + answers;
  const { face, clip } = config.backbone.features;
  const { hidden_BLD, routings } = hiddenOf(root, config, input('mmu.ids', [batch, length], 'int32'), {
    task: 'mmu',
    mask: input('mmu.mask', [1, 1, length, length]),
    positions_L: room.length > 1 ? constant(packedPositions(prefix, room), [length]) : null,
    span: { start: 2, length: tokens },
    features: {
      face_BMF: input('mmu.face', [batch, face.tokens, face.width]),
      clip_BMF: input('mmu.clip', [batch, clip.tokens, clip.width]),
    },
    rowWeights_T: input('mmu.rows', [batch * length]),
  });
  const { weight_VD, bias_V } = phiHead(modelScopes(root).backbone, config.backbone.phi);
  // the row before a token predicts it
  const rows_ND = rowsAt(hidden_BLD, prefix - 1, answers);
  const ce = linearCrossEntropy(rows_ND, weight_VD, bias_V, input('mmu.targets', [batch * answers], 'int32'));
  const loss = reduceSum(mul(ce, input('mmu.weights', [batch * answers])));
  return { loss, balance: meanBalance(routings), rows: ce, routings };
}

import {
  add,
  constant,
  input,
  linearCrossEntropy,
  mul,
  type ParamScope,
  reduceSum,
  reshape,
  scalar,
  slice,
  type Tensor,
} from '@unif2ace/graph';
import { phiEmbed, phiHead } from '../backbone/phi.ts';
import { type LayerRouting, type UnifiedInputs, unifiedBackbone } from '../backbone/unified.ts';
import { maskedTokenLoss, type ScoreParameterization, scoreTokenLoss } from '../diffusion/d3diff-graph.ts';
import { packedPositions } from '../prompt/packing.ts';
import { imageTokens, layoutOf, type ModelConfig } from './config.ts';
import { modelScopes } from './names.ts';

// B batch, L sequence, N image tokens, R answer rows, D hidden

export interface LossGraph {
  /** Weighted loss without the balance terms. */
  loss: Tensor;
  /** Mean over layers of the token-level (and sequence-level) balance terms: 1 at perfect balance. */
  balance: Tensor;
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

function hiddenOf(root: ParamScope, config: ModelConfig, ids_BL: Tensor, inputs: UnifiedInputs) {
  const scope = modelScopes(root).backbone;
  return unifiedBackbone(scope, config.backbone, phiEmbed(scope, config.backbone.phi, ids_BL), inputs);
}

/** Rows [B·count, D] of the positions start … start + count − 1. */
function rowsAt(hidden_BLD: Tensor, start: number, count: number): Tensor {
  return reshape(slice(hidden_BLD, 1, start, start + count), [hidden_BLD.dim(0) * count, hidden_BLD.dim(2)]);
}

export interface T2iLossOptions {
  batch: number;
  parameterization?: ScoreParameterization;
}

/**
 * D3Diff of a text-to-image batch (paper §1.6). Inputs: `t2i.ids` int32 [B, L] with masked codes, `t2i.mask` additive
 * [B, 1, L, L], `t2i.rows` [B·L] (0 for padding), `t2i.ratio` [B] share of masked codes, `t2i.targets` int32 [B·N] codes,
 * `t2i.weights` [B·N] each token's weight (0 where visible); with another parameterisation also `t2i.scoreWeights`.
 */
export function t2iLoss(
  root: ParamScope,
  config: ModelConfig,
  { batch, parameterization = 'normalized' }: T2iLossOptions,
): LossGraph {
  const tokens = imageTokens(config);
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
  const head = { weight_AD, bias_A, codeOffset: layout.codeOffset, codes: layout.codes };
  const rows_ND = rowsAt(hidden_BLD, start, tokens);
  const targets = input('t2i.targets', [batch * tokens], 'int32');
  const ce = maskedTokenLoss(rows_ND, head, targets);
  let loss = reduceSum(mul(ce, input('t2i.weights', [batch * tokens])));
  if (parameterization !== 'normalized') {
    const score = scoreTokenLoss(rows_ND, head, targets, parameterization);
    loss = add(loss, reduceSum(mul(score, input('t2i.scoreWeights', [batch * tokens]))));
  }
  return { loss, balance: meanBalance(routings), rows: ce, routings };
}

export interface MmuLossOptions {
  batch: number;
  /** Room of each text about the image, see `packedAnswers`. Default: one of answerTokens. */
  slots?: readonly number[];
}

/**
 * Next-token loss of answers about images. Inputs: `mmu.ids` int32 [B, L], `mmu.mask` [1, 1, L, L], `mmu.rows`, `mmu.face`
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

import {
  add,
  buildModel,
  concat,
  gatesByExpert,
  gather,
  input,
  mul,
  type OnnxModel,
  ParamScope,
  reshape,
  slice,
  softmax,
  sub,
  type Tensor,
  transpose,
} from '@unif2ace/graph';
import type { RoutingMode } from '../backbone/experts/router.ts';
import { type KeyValue, phiEmbed, phiHead, phiLogits } from '../backbone/phi.ts';
import { unifiedBackbone } from '../backbone/unified.ts';
import { codeLogits } from '../diffusion/d3diff-graph.ts';
import { faceCnn } from '../encoders/face-cnn.ts';
import { unitRows } from '../encoders/image-text.ts';
import { codebookEntry, lookupFreeQuantize } from '../tokenizer/lookup-free.ts';
import { magvitDecoder, magvitEncoder } from '../tokenizer/magvit.ts';
import { embedImage } from './code-embedding.ts';
import { imageCodes, imageTokens, layoutOf, type ModelConfig, tokenGrid } from './config.ts';
import { modelScopes } from './names.ts';

// B batch, N image positions, G codes of a position, P kept positions, H heads, d head width, V codes of a group

type Weights = ReadonlyMap<string, Float32Array>;

// `mode`: how experts are chosen; both give the same

function model(name: string, outputs: Record<string, Tensor>, weights: Weights): OnnxModel {
  return buildModel(outputs, { name, parameters: weights });
}

/** pixels [B, 3, S, S] → codes int32 [B, N·G]. */
export function tokenizeModel(config: ModelConfig, weights: Weights, batch: number): OnnxModel {
  const pixels = input('pixels', [batch, 3, config.imageSize, config.imageSize]);
  const { z_BCHW } = magvitEncoder(modelScopes(new ParamScope()).tokenizer.at('encoder'), config.tokenizer, pixels);
  return model('tokenize', { codes: lookupFreeQuantize(z_BCHW, config.tokenizer.codeGroups).indices_BN }, weights);
}

/** codes int32 [B, N·G] → what the decoder reads, ±1 [B, C, h, w]. */
export function codeEntries(config: ModelConfig, codes_BN: Tensor): Tensor {
  const grid = tokenGrid(config);
  const { codeBits, codeGroups } = config.tokenizer;
  return codebookEntry(codes_BN, codeBits / codeGroups, [grid, grid]);
}

/** codes int32 [B, N·G] → pixels [B, 3, S, S], not clamped. */
export function detokenizeModel(config: ModelConfig, weights: Weights, batch: number): OnnxModel {
  const entry_BCHW = codeEntries(config, input('codes', [batch, imageCodes(config)], 'int32'));
  const scope = modelScopes(new ParamScope()).tokenizer.at('decoder');
  const { pixels_BCHW } = magvitDecoder(scope, config.tokenizer, entry_BCHW);
  return model('detokenize', { pixels: pixels_BCHW }, weights);
}

/** pixels [B, 3, E, E] → face [B, 1, F] and clip [B, P, C], the frozen encoders' features. */
export function featureModel(config: ModelConfig, weights: Weights, batch: number): OnnxModel {
  const { imageSize } = config.faceEncoder;
  const pixels = input('pixels', [batch, 3, imageSize, imageSize]);
  const { face_BF, clip_BPC } = frozenFeatures(new ParamScope(), config, pixels);
  return model('features', { face: reshape(face_BF, [batch, 1, face_BF.dim(1)]), clip: clip_BPC }, weights);
}

/** Pixels [B, 3, E, E] in −1..1 → what the Face expert reads [B, F] and what the CLIP expert reads [B, P, C]. */
export function frozenFeatures(root: ParamScope, config: ModelConfig, pixels: Tensor) {
  const scopes = modelScopes(root);
  const own = faceCnn(scopes.faceEncoder, config.faceEncoder, pixels);
  const [faces, patches] = [[own.face_BF], [own.patches_BPC]];
  const { identityEncoder, imageTextEncoder } = config;
  if (identityEncoder) {
    const { face_BF } = faceCnn(scopes.identityEncoder, identityEncoder, pixels);
    // numbers of a unit vector are small beside standardised ones
    faces.push(mul(unitRows(face_BF), Math.sqrt(identityEncoder.width)));
  }
  if (imageTextEncoder) patches.push(faceCnn(scopes.imageTextEncoder, imageTextEncoder, pixels).patches_BPC);
  return { face_BF: joined(faces, 1), clip_BPC: joined(patches, 2) };
}

const joined = (parts: Tensor[], axis: number): Tensor => (parts.length > 1 ? concat(parts, axis) : parts[0]!);

function namedCache(present: readonly KeyValue[]): Record<string, Tensor> {
  return Object.fromEntries(
    present.flatMap(({ k_BHSd, v_BHSd }, layer) => [
      [`key${layer}`, k_BHSd],
      [`value${layer}`, v_BHSd],
    ]),
  );
}

/** Kept keys and values as inputs `past.keyN`, `past.valueN`: [B, H, P, d]. */
function cacheInputs(config: ModelConfig, batch: number, positions: number): KeyValue[] {
  const { heads, hiddenSize, layers } = config.backbone.phi;
  const shape = [batch, heads, positions, hiddenSize / heads];
  return Array.from({ length: layers }, (_, layer) => ({
    k_BHSd: input(`past.key${layer}`, shape),
    v_BHSd: input(`past.value${layer}`, shape),
  }));
}

/** Text prefix of generation: ids [B, P], mask [B, 1, P, P] → keys and values, the same for every denoising step. */
export function promptModel(
  config: ModelConfig,
  weights: Weights,
  batch: number,
  mode: RoutingMode = 'sparse',
): OnnxModel {
  const length = config.promptTokens + 1;
  const scope = modelScopes(new ParamScope()).backbone;
  const ids = input('ids', [batch, length], 'int32');
  const { present } = unifiedBackbone(scope, config.backbone, phiEmbed(scope, config.backbone.phi, ids), {
    task: 't2i',
    mode,
    mask: input('mask', [batch, 1, length, length]),
    span: null,
    features: {},
  });
  return model('prompt', namedCache(present), weights);
}

/** What a denoising step computes up to the head. */
function denoised(config: ModelConfig, batch: number, mode: RoutingMode = 'sparse') {
  const tokens = imageTokens(config);
  const kept = config.promptTokens + 1;
  const length = tokens + 2;
  const scope = modelScopes(new ParamScope()).backbone;
  const ids = input('ids', [batch, length], 'int32');
  const span = { start: 1, length: tokens };
  const outputs = unifiedBackbone(scope, config.backbone, embedImage(scope, config, ids, span, 'others'), {
    task: 't2i',
    mode,
    mask: input('mask', [batch, 1, 1, kept + length]),
    positions_L: input('positions', [length], 'int32'),
    past: cacheInputs(config, batch, kept),
    span,
    features: { maskRatio_B: input('ratio', [batch]) },
  });
  return { scope, tokens, ...outputs };
}

/**
 * One denoising step on kept text: ids [B, N + 2] (soi, codes or masks, eoi), others [B, N·(G−1)], positions [N + 2], mask
 * [B, 1, 1, P + N + 2] (all image rows see the same), ratio [B] → probabilities [B, N·G, V] over image codes.
 * guidance [B] is the scale w of (1 + w)·cond − w·uncond, unconditional [B] the row of that branch; of a row without one
 * w is 0 and the branch itself.
 */
export function denoiseModel(
  config: ModelConfig,
  weights: Weights,
  batch: number,
  mode: RoutingMode = 'sparse',
): OnnxModel {
  const { scope, tokens, hidden_BLD } = denoised(config, batch, mode);
  const layout = layoutOf(config);
  const { weight_VD: weight_AD, bias_V: bias_A } = phiHead(scope, config.backbone.phi);
  const rows = reshape(slice(hidden_BLD, 1, 1, tokens + 1), [batch * tokens, config.backbone.phi.hiddenSize]);
  // the groups' rows of the head lie one after the other
  const codes = layout.codeGroups * layout.codes;
  const head = codeLogits(rows, { weight_AD, bias_A, codeOffset: layout.codeOffset, codes });
  const logits_BNV = reshape(head, [batch, imageCodes(config), layout.codes]);
  const difference_BNV = sub(logits_BNV, gather(logits_BNV, input('unconditional', [batch], 'int32')));
  const guided_BNV = add(logits_BNV, mul(reshape(input('guidance', [batch]), [batch, 1, 1]), difference_BNV));
  return model('denoise', { probabilities: softmax(guided_BNV) }, weights);
}

/**
 * Gate weights of the experts in a denoising step of one image, 0 where one did not fire: `token0`, … [E, N] and
 * `sequence0`, … [E], by layer. Inputs as `denoiseModel` with B = 1. @throws RangeError for a model without experts.
 */
export function routingModel(config: ModelConfig, weights: Weights, mode: RoutingMode = 'sparse'): OnnxModel {
  const { tokens, routings } = denoised(config, 1, mode);
  if (routings.length === 0) throw new RangeError('routing: expected a model with experts, got one without');
  const outputs = routings.map(({ level, layer, scores, routing }): [string, Tensor] => {
    const experts = scores.dim(1);
    const gates_TE = gatesByExpert(routing, experts);
    if (level === 'sequence') return [`sequence${layer}`, reshape(gates_TE, [experts])];
    return [`token${layer}`, transpose(slice(gates_TE, 0, 1, tokens + 1), [1, 0])];
  });
  return model('routing', Object.fromEntries(outputs), weights);
}

/** Image prefix of understanding: ids [1, N + 3], others [1, N·(G−1)], face, clip → keys and values, the same for every question. */
export function imagePrefixModel(config: ModelConfig, weights: Weights, mode: RoutingMode = 'sparse'): OnnxModel {
  const tokens = imageTokens(config);
  const { face, clip } = config.backbone.features;
  const scope = modelScopes(new ParamScope()).backbone;
  const ids = input('ids', [1, tokens + 3], 'int32');
  const span = { start: 2, length: tokens };
  const { present } = unifiedBackbone(scope, config.backbone, embedImage(scope, config, ids, span, 'others'), {
    task: 'mmu',
    mode,
    // the prefix is fully bidirectional
    mask: null,
    span,
    features: {
      face_BMF: input('face', [1, face.tokens, face.width]),
      clip_BMF: input('clip', [1, clip.tokens, clip.width]),
    },
  });
  return model('image-prefix', namedCache(present), weights);
}

/**
 * `count` text tokens of `rows` answers on kept keys and values: ids [R, count], positions [R, count], mask
 * [R, 1, count, capacity + count] → logits [R, count, A] over the whole vocabulary and the new keys and values.
 */
export function textModel(
  config: ModelConfig,
  weights: Weights,
  count: number,
  rows: number,
  mode: RoutingMode = 'sparse',
): OnnxModel {
  const capacity = imageTokens(config) + 3 + config.answerTokens;
  const scope = modelScopes(new ParamScope()).backbone;
  const ids = input('ids', [rows, count], 'int32');
  const { hidden_BLD, present } = unifiedBackbone(scope, config.backbone, phiEmbed(scope, config.backbone.phi, ids), {
    task: 'mmu',
    mode,
    mask: input('mask', [rows, 1, count, capacity + count]),
    positions_L: input('positions', [rows, count], 'int32'),
    past: cacheInputs(config, rows, capacity),
    span: null,
    features: {},
  });
  return model('text', { logits: phiLogits(scope, config.backbone.phi, hidden_BLD), ...namedCache(present) }, weights);
}

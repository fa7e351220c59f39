import {
  additiveMask,
  codeLogits,
  embedImage,
  imageCodes,
  imageIds,
  imageTokens,
  type LoadedModel,
  layoutOf,
  modelScopes,
  phiHead,
  t2iPrefix,
  t2iVisibility,
  unifiedBackbone,
} from '@unif2ace/core';
import { buildModel, float32, input, int32, ParamScope, type Runtime, reshape, slice } from '@unif2ace/graph';

// R rows, L sequence of prompt and image, N image positions, G codes of a position, V codes of a group

/**
 * The denoising network without anything kept: prompt and image as one sequence at every step. What the kept prefix is
 * measured against and must agree with. Returns logits [images·N·G·V] of both branches.
 */
export async function plainDenoiser(loaded: LoadedModel, runtime: Runtime, prompt: string, images: number) {
  const { config, weights, tokenizer } = loaded;
  const layout = layoutOf(config);
  const [tokens, kept, rows] = [imageTokens(config), config.promptTokens + 1, 2 * images];
  const length = kept + tokens + 2;
  const span = { start: kept + 1, length: tokens };
  const scope = modelScopes(new ParamScope()).backbone;
  const ids = input('ids', [rows, length], 'int32');
  const { hidden_BLD } = unifiedBackbone(scope, config.backbone, embedImage(scope, config, ids, span, 'others'), {
    task: 't2i',
    mask: input('mask', [rows, 1, length, length]),
    span,
    features: { maskRatio_B: input('ratio', [rows]) },
  });
  const { weight_VD: weight_AD, bias_V: bias_A } = phiHead(scope, config.backbone.phi);
  const codes = layout.codeGroups * layout.codes;
  const logits = codeLogits(
    reshape(slice(hidden_BLD, 1, span.start, span.start + tokens), [rows * tokens, config.backbone.phi.hiddenSize]),
    { weight_AD, bias_A, codeOffset: layout.codeOffset, codes },
  );
  const model = buildModel(
    { logits: reshape(logits, [rows, imageCodes(config), layout.codes]) },
    { parameters: weights },
  );
  const session = await runtime.createSession(model);
  const prefixes = [false, true].map((dropped) =>
    t2iPrefix(layout, tokenizer.encode(prompt), config.promptTokens, dropped),
  );
  return {
    logits: async (
      state: readonly Int32Array[],
    ): Promise<{ conditional: Float32Array; unconditional: Float32Array }> => {
      const row = Array.from({ length: rows }, (_, i) => imageIds(layout, state[i % images]!));
      const sequences = row.map(({ first }, i) => [
        ...prefixes[Math.floor(i / images)]!,
        layout.soi,
        ...first,
        layout.eoi,
      ]);
      const mask = sequences.flatMap((sequence) => [...additiveMask(t2iVisibility(layout, sequence))]);
      const others = row.flatMap((image) => image.others);
      const ratios = row.map((_, i) => state[i % images]!.filter((code) => code < 0).length / imageCodes(config));
      const result = await session.run({
        ids: int32(sequences.flat(), [rows, length]),
        ...(others.length > 0 && { others: int32(others, [rows, others.length / rows]) }),
        mask: float32(Float32Array.from(mask), [rows, 1, length, length]),
        ratio: float32(Float32Array.from(ratios), [rows]),
      });
      const data = result.logits!.data as Float32Array;
      return { conditional: data.subarray(0, data.length / 2), unconditional: data.subarray(data.length / 2) };
    },
    close: () => session.release(),
  };
}

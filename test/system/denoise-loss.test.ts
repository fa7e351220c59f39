import {
  additiveMask,
  denoiseModel,
  imageCodes,
  imageIds,
  imageTokens,
  layoutOf,
  promptModel,
  t2iLoss,
  t2iSequence,
  t2iVisibility,
  unknownToken,
} from '@unif2ace/core';
import { buildModel, float32, int32, ParamScope, Philox } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { describe, expect, test } from 'vitest';
import { tinyModel } from './tiny-model.ts';

describe.each([1, 2])('with %i codes a position', (codeGroups) => {
  test('what training scores is what generation draws from: cross-entropies are those of the denoiser on kept text', async () => {
    const { config, tokenizer, weights } = tinyModel(3, codeGroups);
    const layout = layoutOf(config);
    const [tokens, codes, kept] = [imageTokens(config), imageCodes(config), config.promptTokens + 1];
    const random = new Philox(4);
    const truth = Int32Array.from({ length: codes }, () => random.int(layout.codes));
    const state = truth.map((code) => (random.uniform() < 0.6 ? unknownToken : code));
    const image = imageIds(layout, state);
    const others = image.others.length > 0 ? int32(image.others, [1, image.others.length]) : undefined;
    const { ids } = t2iSequence(layout, tokenizer.encode('a hat'), config.promptTokens, image.first);
    const visible = additiveMask(t2iVisibility(layout, ids));
    const ratio = float32(Float32Array.of(state.filter((code) => code < 0).length / codes), [1]);
    const runtime = directRuntime();

    const loss = t2iLoss(new ParamScope(), config, { batch: 1 });
    const trained = await runtime.createSession(buildModel({ rows: loss.rows }, { parameters: weights }));
    const { rows } = await trained.run({
      't2i.ids': int32(ids, [1, ids.length]),
      ...(others && { 't2i.others': others }),
      't2i.mask': float32(visible, [1, 1, ids.length, ids.length]),
      't2i.ratio': ratio,
      't2i.targets': int32(truth, [codes]),
    });

    const prompter = await runtime.createSession(promptModel(config, weights, 1));
    const corner = Float32Array.from({ length: kept * kept }, (_, i) => {
      return visible[Math.floor(i / kept) * ids.length + (i % kept)]!;
    });
    const present = await prompter.run({
      ids: int32(ids.slice(0, kept), [1, kept]),
      mask: float32(corner, [1, 1, kept, kept]),
    });
    const denoiser = await runtime.createSession(denoiseModel(config, weights, 1));
    const { probabilities } = await denoiser.run({
      ...Object.fromEntries(Object.entries(present).map(([name, value]) => [`past.${name}`, value])),
      ids: int32(ids.slice(kept), [1, tokens + 2]),
      ...(others && { others }),
      positions: int32(
        ids.slice(kept).map((_, i) => kept + i),
        [tokens + 2],
      ),
      mask: float32(visible.slice(kept * ids.length, (kept + 1) * ids.length), [1, 1, 1, ids.length]),
      ratio,
      guidance: float32(Float32Array.of(0), [1]),
      unconditional: int32([0], [1]),
    });
    const data = probabilities!.data as Float32Array;
    const expected = Array.from(truth, (code, i) => -Math.log(data[i * layout.codes + code]!));
    expect(rows!.data).toHaveLength(codes);
    expected.forEach((ce, i) => {
      expect((rows!.data as Float32Array)[i]).toBeCloseTo(ce, 4);
    });
    await Promise.all([trained, prompter, denoiser].map((session) => session.release()));
  });
});

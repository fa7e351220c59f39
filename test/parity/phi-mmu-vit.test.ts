import { additiveMask, mmuVitVisibility, phi, phiLogits } from '@unif2ace/core';
import { input, ParamScope } from '@unif2ace/graph';
import { expect, test } from 'vitest';
import { expectClose, loadFixture, type Tolerance } from './fixture.ts';
import { type PhiJson, phiConfigOf } from './phi-config.ts';
import { float32, runGraph } from './run.ts';

interface Json {
  config: { phi: PhiJson; system_prompt_len: number; n_vit: number; small_n_vit: number };
  tolerance: { 'outputs.*': Tolerance };
}

const fixture = loadFixture<Json>('phi-mmu-vit');
const { config, tolerance } = fixture.json;
const phiConfig = phiConfigOf(config.phi);

async function logitsOf(prefix: string, visible: Uint8Array): Promise<Float32Array> {
  const scope = new ParamScope();
  const shape = fixture.shape(`inputs.${prefix}inputs_embeds`) as [number, number, number];
  const length = shape[1];
  const { hiddenStates } = phi(scope, phiConfig, input('embeds', shape), {
    mask: input('mask', [1, 1, length, length]),
  });
  const got = await runGraph(
    { logits: phiLogits(scope, phiConfig, hiddenStates.at(-1)!) },
    {
      embeds: float32(fixture.f32(`inputs.${prefix}inputs_embeds`), shape),
      mask: float32(additiveMask(visible), [1, 1, length, length]),
    },
    fixture.weights(),
  );
  return got.logits!;
}

test('continuous image features: mask and logits', async () => {
  const length = fixture.shape('inputs.inputs_embeds')[1]!;
  const visible = mmuVitVisibility(length, config.system_prompt_len, config.n_vit);
  const intervals = fixture.ints('inputs.mask_visible_intervals');
  for (let row = 0; row < length; row++) {
    const [a, b, c, d] = intervals.slice(row * 4, row * 4 + 4) as [number, number, number, number];
    const expected = Uint8Array.from({ length }, (_, key) => Number((key >= a && key < b) || (key >= c && key < d)));
    expect(visible.slice(row * length, (row + 1) * length), `row ${row}`).toEqual(expected);
  }
  const additive = additiveMask(visible);
  fixture.ints('inputs.mask_rows_index').forEach((row, i) => {
    const literal = fixture.f32('inputs.mask_rows').slice(i * length, (i + 1) * length);
    expect(additive.slice(row * length, (row + 1) * length)).toEqual(literal);
  });
  expectClose(await logitsOf('', visible), fixture.f32('outputs.logits'), tolerance['outputs.*'], 'logits');
});

test('the same with few patches', async () => {
  const [batch, , length] = fixture.shape('inputs.small.attention_mask') as [number, number, number];
  const visible = mmuVitVisibility(length, config.system_prompt_len, config.small_n_vit);
  const literal = fixture.f32('inputs.small.attention_mask');
  for (let b = 0; b < batch; b++)
    expect(additiveMask(visible)).toEqual(literal.slice(b * length * length, (b + 1) * length * length));
  expectClose(
    await logitsOf('small.', visible),
    fixture.f32('outputs.small.logits'),
    tolerance['outputs.*'],
    'small.logits',
  );
});

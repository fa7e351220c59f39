import {
  causalVisibility,
  dropsCondition,
  lmSequence,
  mmuBatchVisibility,
  mmuSequence,
  showoLayout,
  t2iSequence,
  t2iVisibility,
} from '@unif2ace/core';
import { describe, expect, test } from 'vitest';
import { loadFixture } from './fixture.ts';

interface Case {
  fn: 't2i_prompt' | 't2i_gen_prompt' | 'mmu_prompt' | 'lm_prompt';
  inputs: {
    text_ids: number[][];
    image_ids: number[][];
    labels: number[][];
    dropout_uniform: number[];
    max_seq_len: number;
  };
  outputs: Record<string, unknown> & { input_ids: number[][]; label_ids?: number[][]; attention_masks: number[][] };
}
interface Group {
  config: {
    bos: number;
    eos: number;
    max_text_len: number;
    cond_dropout_prob: number;
    text_vocab_before_special: number;
    special_ids: Record<string, number>;
    image_token_offset: number;
    mask_id: number;
  };
  cases: Case[];
}

const { json } = loadFixture<{ groups: Group[] }>('showo-prompts');

function rowsOf(visible: Uint8Array, length: number): string[] {
  return Array.from({ length }, (_, row) => visible.slice(row * length, (row + 1) * length).join(''));
}

function perRow(visible: Uint8Array, rows: number): Uint8Array[] {
  const size = visible.length / rows;
  return Array.from({ length: rows }, (_, row) => visible.subarray(row * size, (row + 1) * size));
}

test('the fixture has every prompt function, and no other', () => {
  const functions = new Set(json.groups.flatMap(({ cases }) => cases.map(({ fn }) => fn)));
  expect([...functions].sort()).toEqual(['lm_prompt', 'mmu_prompt', 't2i_gen_prompt', 't2i_prompt']);
});

describe.each(json.groups)('Show-o prompts, text length $config.max_text_len', ({ config, cases }) => {
  const layout = showoLayout(
    config.text_vocab_before_special,
    config.mask_id - config.image_token_offset,
    config.bos,
    config.eos,
  );

  test('special ids', () => {
    const ids = config.special_ids;
    expect(layout).toMatchObject({
      sot: ids['<|sot|>'],
      eot: ids['<|eot|>'],
      pad: ids['<|pad|>'],
      soi: ids['<|soi|>'],
      eoi: ids['<|eoi|>'],
      t2i: ids['<|t2i|>'],
      mmu: ids['<|mmu|>'],
      codeOffset: config.image_token_offset,
      mask: config.mask_id,
    });
  });

  test.each(cases)('$fn', ({ fn, inputs, outputs }) => {
    const length = config.max_text_len;
    const sequences = inputs.text_ids.map((text, row) => {
      const image = inputs.image_ids?.[row] ?? [];
      if (fn === 'lm_prompt') return lmSequence(layout, text, inputs.max_seq_len);
      if (fn === 'mmu_prompt') return mmuSequence(layout, image, text, length);
      if (fn === 't2i_gen_prompt') return t2iSequence(layout, text, length, image);
      const dropped = dropsCondition(inputs.dropout_uniform[row]!, config.cond_dropout_prob);
      return t2iSequence(layout, text, length, image, inputs.labels[row]!, dropped);
    });
    expect(sequences.map(({ ids }) => ids)).toEqual(outputs.input_ids);
    if (outputs.label_ids) expect(sequences.map(({ labels }) => labels)).toEqual(outputs.label_ids);
    // what the original returns as masks says nothing, so there is no counterpart here
    expect(outputs.attention_masks.flat().every((value) => value === 1)).toBe(true);
    const ids = sequences.map((sequence) => sequence.ids);
    const visibility: Record<string, () => Uint8Array[]> = {
      visible_rm_pad_in_image: () => ids.map((row) => t2iVisibility(layout, row, true)),
      visible_default: () =>
        ids.map((row) => (row.includes(layout.soi) ? t2iVisibility(layout, row, false) : causalVisibility(row.length))),
      // Show-o's own mask, the end of the first row's image for all; here all images are of one length
      visible_for_mmu: () => perRow(mmuBatchVisibility(layout, ids, 'firstRow'), ids.length),
    };
    if (fn === 'mmu_prompt')
      expect(mmuBatchVisibility(layout, ids)).toEqual(mmuBatchVisibility(layout, ids, 'firstRow'));
    for (const key of Object.keys(outputs).filter((name) => name.startsWith('visible')))
      expect(
        visibility[key]!().map((visible, row) => rowsOf(visible, ids[row]!.length)),
        key,
      ).toEqual(outputs[key]);
  });
});

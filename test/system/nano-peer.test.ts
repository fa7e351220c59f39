import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackboneConfig, layoutOf, MagvitConfig, ModelConfig, mmuLoss, t2iLoss } from '@unif2ace/core';
import {
  buildModel,
  float32,
  gradients,
  initialize,
  ParamScope,
  Philox,
  type TensorValue,
  type TensorValues,
} from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { answerSlots, jointLoss, type Recipe, SequenceBatches } from '@unif2ace/lab';
import { expect, test } from 'vitest';
import { nanoSetup, peerSizes } from '../../bench/nano-setup.ts';

// The model that the benchmark's peer trains in PyTorch is ours: same weights and batches give the same losses and gradients.

const python = '/usr/bin/python3';
const hasTorch = spawnSync(python, ['-c', 'import torch, numpy']).status === 0;

const tokenizer = MagvitConfig.parse({
  channels: 8,
  codeBits: 8,
  codeGroups: 2,
  groups: 4,
  encoder: { channelMultiples: [1, 1], resBlocks: [1, 1] },
  decoder: { channelMultiples: [1, 1], resBlocks: [1, 1] },
});

const recipe: Recipe = {
  kind: 'model',
  name: 'peer',
  seed: 5,
  textVocabSize: 400,
  model: (textVocabSize) =>
    ModelConfig.parse({
      format: 'unif2ace-1',
      name: 'peer',
      imageSize: 8,
      tokenizer,
      textVocabSize,
      promptTokens: 30,
      answerTokens: 90,
      faceEncoder: { imageSize: 8, channels: [8, 8], groups: 4, width: 8 },
      backbone: BackboneConfig.parse({
        phi: {
          vocabSize: layoutOf({ textVocabSize, tokenizer }).vocabSize,
          hiddenSize: 32,
          intermediateSize: 64,
          layers: 2,
          heads: 2,
          maxPositions: 128,
        },
        tokenMoe: { router: { experts: 6, topK: 3 }, routedHidden: 12, sharedHidden: 20 },
        sequenceMoe: {},
        resampler: { sizes: { width: 12, depth: 2, heads: 2, headWidth: 6, selfAttend: false }, shared: true },
        features: { face: { width: 8, tokens: 1 }, clip: { width: 8, tokens: 4 }, noise: { width: 8 } },
      }),
    }),
  faceEncoder: { classifier: 'file:///unused' },
  tokenizer: { steps: 1, batch: 1, learningRate: 0, warmupSteps: 0, weightDecay: 0, clipNorm: 1, emaDecay: 0 },
  backbone: [
    {
      name: 'both',
      steps: 10,
      learningRate: 1e-3,
      warmupSteps: 0,
      weightDecay: 0.02,
      clipNorm: 1,
      emaDecay: 0.9,
      t2iBatch: 5,
      mmuBatch: 3,
      questionsPerFace: 2,
      questionTokens: 60,
      answerBalance: [1, 1],
      conditionDropout: 0.3,
      mmuCoefficient: 12,
      balanceCoefficient: 0.01,
      loss: { terms: 'both', alpha: 0.01, law: 'cosine', parameterization: 'normalized' },
    },
  ],
};

test.skipIf(!hasTorch)('losses and gradients of the PyTorch peer are ours (needs python3-torch)', async () => {
  const { config, stage, tokenizer: text, labels, faces } = nanoSetup(recipe, 24);
  const root = new ParamScope();
  const t2i = t2iLoss(root, config, { batch: stage.t2iBatch });
  const mmu = mmuLoss(root, config, { batch: stage.mmuBatch, slots: answerSlots(config, stage) });
  const { loss } = jointLoss(t2i, mmu, stage);
  const specs = root.specs();
  const weights = new Map(
    specs.map((spec) => {
      const data = new Float32Array(spec.shape.reduce((a, b) => a * b, 1));
      // wider than a real start, so that every part shows
      const init = spec.init.kind === 'ones' ? spec.init : { kind: 'normal' as const, std: 0.15 };
      initialize({ ...spec, init }, data, (...stream) => new Philox(7, ...stream));
      return [spec.name, data] as const;
    }),
  );
  const batch = new SequenceBatches(config, text, faces, labels, stage, 9).at({ step: 3, part: 0, parts: 1 });
  const outputs = {
    loss,
    'ce.t2i': t2i.rows,
    'ce.mmu': mmu.rows,
    't2i.balance': t2i.balance,
    'mmu.balance': mmu.balance,
    ...Object.fromEntries(gradients(loss, root.tensors()).map((d, i) => [`grad.${specs[i]!.name}`, d])),
  };
  const session = await directRuntime({ intraOpThreads: 1 }).createSession(buildModel(outputs));
  const parameters = Object.fromEntries(specs.map(({ name, shape }) => [name, float32(weights.get(name)!, shape)]));
  const ours = await session.run({ ...parameters, ...batch });

  const folder = await mkdtemp(join(tmpdir(), 'nano-peer-'));
  try {
    let files = 0;
    const stored = async (values: TensorValues, strip: string) => {
      const entries: Record<string, unknown> = {};
      for (const [name, value] of Object.entries(values)) {
        const file = `${files++}.bin`;
        await writeFile(join(folder, file), bytesOf(value));
        entries[name.slice(strip.length)] = { file, shape: value.shape, dtype: value.dtype };
      }
      return entries;
    };
    const of = (task: string) =>
      Object.fromEntries(Object.entries(batch).filter(([name]) => name.startsWith(`${task}.`))) as TensorValues;
    const check = {
      sizes: peerSizes(config, stage, labels.length),
      weights: await stored(parameters, 'showo.'),
      t2i: await stored(of('t2i'), 't2i.'),
      mmu: await stored(of('mmu'), 'mmu.'),
    };
    await writeFile(join(folder, 'check.json'), JSON.stringify(check));
    const script = join(import.meta.dirname, '..', '..', 'bench', 'peer', 'nano_check.py');
    const { stdout, stderr } = spawnSync(python, [script, folder], { encoding: 'utf8' });
    expect(stdout, stderr).not.toBe('');
    const peer = JSON.parse(stdout) as {
      t2i: number[];
      mmu: number[];
      balance: [number, number];
      loss: number;
      gradients: Record<string, number>;
    };
    const data = (name: string) => ours[name]!.data as Float32Array;
    for (const task of ['t2i', 'mmu'] as const) {
      const rows = data(`ce.${task}`);
      expect(peer[task]).toHaveLength(rows.length);
      expect(Math.max(...peer[task].map((value, i) => Math.abs(value - rows[i]!)))).toBeLessThan(1e-3);
    }
    expect(peer.balance[0]).toBeCloseTo(data('t2i.balance')[0]!, 4);
    expect(peer.balance[1]).toBeCloseTo(data('mmu.balance')[0]!, 4);
    expect(Math.abs(peer.loss / data('loss')[0]! - 1)).toBeLessThan(1e-4);
    for (const { name } of specs) {
      const norm = Math.hypot(...data(`grad.${name}`));
      const theirs = peer.gradients[name.slice('showo.'.length)]!;
      expect(Math.abs(theirs - norm), name).toBeLessThan(1e-4 + 2e-3 * norm);
    }
  } finally {
    await session.release();
    await rm(folder, { recursive: true, force: true });
  }
});

function bytesOf({ data }: TensorValue): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

import { ClipVitConfig, clipVit, fromTransformersNames } from '@unif2ace/core';
import { input, ParamScope } from '@unif2ace/graph';
import { expect, test } from 'vitest';
import { expectClose, loadFixture } from './fixture.ts';
import { float32, runGraph } from './run.ts';
import { type Tolerances, toleranceOf } from './tolerance.ts';

interface Json {
  config: Record<string, number>;
  tolerance: Tolerances;
}

const fixture = loadFixture<Json>('clip-vit');
const raw = fixture.json.config;
const config = ClipVitConfig.parse({
  imageSize: raw.image_size,
  patchSize: raw.patch_size,
  width: raw.hidden_size,
  layers: raw.num_hidden_layers,
  heads: raw.num_attention_heads,
  intermediate: raw.intermediate_size,
  projection: raw.projection_dim,
  layerNormEps: raw.layer_norm_eps,
});

test('CLIP vision transformer: hidden states, patches, pooled and projected', async () => {
  const out = clipVit(new ParamScope(), config, input('pixels', fixture.shape('inputs.pixels')));
  const got = await runGraph(
    {
      penultimate_patches: out.penultimatePatches,
      pooled: out.pooled,
      image_embeds: out.imageEmbeds,
      ...Object.fromEntries(out.hiddenStates.map((h, i) => [`hidden_states.${i}`, h])),
    },
    { pixels: float32(fixture.f32('inputs.pixels'), fixture.shape('inputs.pixels')) },
    fixture.weights(),
  );
  const names = fixture.names('outputs.');
  expect(names.length).toBe(config.layers + 4);
  for (const key of names)
    expectClose(got[key.slice('outputs.'.length)]!, fixture.f32(key), toleranceOf(fixture.json.tolerance, key), key);
});

test('Hugging Face names map back to the same tensors', () => {
  const weights = fixture.weights();
  const hub = new Map<string, Float32Array>();
  const map = (fixture.json as unknown as { transformers_names: Record<string, string> }).transformers_names;
  for (const [from, to] of Object.entries(map)) {
    if (/in_proj|^proj$/.test(from)) continue;
    for (let layer = 0; layer < config.layers; layer++)
      for (const part of ['weight', 'bias']) {
        const source = from.replace('N', String(layer)).replace('*', part);
        const target = to.replace(' (spelt so)', '').replace('N', String(layer)).replace('*', part);
        const data = weights.get(source);
        if (data) hub.set(target, data);
      }
  }
  for (let layer = 0; layer < config.layers; layer++)
    for (const part of ['weight', 'bias']) {
      const joined = weights.get(`transformer.resblocks.${layer}.attn.in_proj_${part}`)!;
      ['q_proj', 'k_proj', 'v_proj'].forEach((name, i) => {
        const third = joined.length / 3;
        hub.set(
          `vision_model.encoder.layers.${layer}.self_attn.${name}.${part}`,
          joined.slice(i * third, (i + 1) * third),
        );
      });
    }
  const renamed = fromTransformersNames(hub, config.layers);
  for (const [name, data] of renamed) expect(data, name).toEqual(weights.get(name));
  // a CLIPVisionModel has no projection
  expect(renamed.size).toBe(weights.size - 1);
  const proj = weights.get('proj')!;
  const { width, projection } = config;
  hub.set(
    'visual_projection.weight',
    Float32Array.from(proj, (_, i) => proj[(i % width) * projection + Math.floor(i / width)]!),
  );
  expect(fromTransformersNames(hub, config.layers)).toEqual(weights);
  hub.delete('vision_model.post_layernorm.bias');
  expect(() => fromTransformersNames(hub, config.layers)).toThrow('vision_model.post_layernorm.bias');
});

test('a geometry that cannot be built is refused', () => {
  expect(() => ClipVitConfig.parse({ imageSize: 100, patchSize: 14 })).toThrow('patchSize');
  expect(() => ClipVitConfig.parse({ width: 100, heads: 16 })).toThrow('heads');
  expect(() =>
    clipVit(new ParamScope(), config, input('pixels', [1, 3, config.imageSize, config.imageSize + config.patchSize])),
  ).toThrow(`expected pixels [B, 3, ${config.imageSize}, ${config.imageSize}]`);
});

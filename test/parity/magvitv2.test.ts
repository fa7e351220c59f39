import {
  codebookEntry,
  lookupFreeQuantize,
  MagvitConfig,
  magvitDecoder,
  magvitEncoder,
  quantizerLosses,
} from '@unif2ace/core';
import { add, input, ParamScope, reduceMean, square, sub } from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { expectClose, expectGradClose, loadFixture } from './fixture.ts';
import { float32, int32, parameterGradients, runGraph } from './run.ts';
import { gradientFloor, type Tolerances, toleranceOf } from './tolerance.ts';

interface Part {
  ch: number;
  z_channels: number;
  in_ch: number;
  out_ch: number;
  resolution: number;
  attn_resolutions: number[];
  ch_mult: number[];
  num_res_blocks: number[];
}
interface Json {
  config: {
    encoder: Part;
    decoder: Part;
    quantizer: Record<'codebook_dim' | 'beta' | 'entropy_multiplier' | 'commit_loss_multiplier', number>;
    token_grid: [number, number];
  };
  tolerance: Tolerances;
}

const fixture = loadFixture<Json>('magvitv2');
const gradients = loadFixture<Json>('magvitv2-grads');

function configOf({ encoder, decoder, quantizer }: Json['config']): MagvitConfig {
  // one number of our configuration each, and no attention outside the middle: another fixture must not be misread
  expect(decoder.ch, 'decoder.ch').toBe(encoder.ch);
  expect([encoder.out_ch, decoder.in_ch, decoder.out_ch], 'image channels').toEqual(Array(3).fill(encoder.in_ch));
  expect([decoder.z_channels, quantizer.codebook_dim], 'code bits').toEqual(Array(2).fill(encoder.z_channels));
  for (const { resolution, attn_resolutions, ch_mult } of [encoder, decoder])
    ch_mult.forEach((_, level) => {
      expect(attn_resolutions, 'attention only in the middle').not.toContain(Math.floor(resolution / 2 ** level));
    });
  return MagvitConfig.parse({
    channels: encoder.ch,
    imageChannels: encoder.in_ch,
    codeBits: encoder.z_channels,
    encoder: { channelMultiples: encoder.ch_mult, resBlocks: encoder.num_res_blocks },
    decoder: { channelMultiples: decoder.ch_mult, resBlocks: decoder.num_res_blocks },
    commitmentBeta: quantizer.beta,
    commitmentWeight: quantizer.commit_loss_multiplier,
    entropyWeight: quantizer.entropy_multiplier,
  });
}

function build(config: MagvitConfig) {
  const scope = new ParamScope();
  const pixels = input('pixels', fixture.shape('inputs.pixels'));
  const encoded = magvitEncoder(scope.at('encoder'), config, pixels);
  const { codes_BCHW, indices_BN } = lookupFreeQuantize(encoded.z_BCHW);
  const decoded = magvitDecoder(scope.at('decoder'), config, codes_BCHW);
  const losses = quantizerLosses(config, encoded.z_BCHW, codes_BCHW);
  const mse = reduceMean(square(sub(decoded.pixels_BCHW, pixels)));
  const loss = add(add(mse, losses.commitment), losses.entropy);
  return { scope, encoded, codes_BCHW, indices_BN, decoded, losses, mse, loss };
}

const feeds = { pixels: float32(fixture.f32('inputs.pixels'), fixture.shape('inputs.pixels')) };

describe('MAGVIT-v2', () => {
  test('every recorded value', async () => {
    const config = configOf(fixture.json.config);
    const { scope, encoded, codes_BCHW, indices_BN, decoded, losses, mse, loss } = build(config);
    const wide = fixture.shape('outputs.decode_code_nonsquare');
    const factor = fixture.shape('inputs.pixels')[2]! / fixture.json.config.token_grid[0];
    const grid: [number, number] = [wide[2]! / factor, wide[3]! / factor];
    const codes = input('codes', fixture.shape('outputs.codes'), 'int32');
    const entry = codebookEntry(codes, config.codeBits, fixture.json.config.token_grid);
    const wideEntry = codebookEntry(
      input('wide', fixture.shape('inputs.indices_nonsquare'), 'int32'),
      config.codeBits,
      grid,
    );
    const got = await runGraph(
      {
        encoder: encoded.z_BCHW,
        z_q: codes_BCHW,
        codes_out: indices_BN,
        quantizer_loss: losses.commitment,
        entropy_loss: losses.entropy,
        recon: decoded.pixels_BCHW,
        mse,
        loss,
        codebook_entry: entry,
        decode_code: magvitDecoder(scope.at('decoder'), config, entry).pixels_BCHW,
        decode_code_nonsquare: magvitDecoder(scope.at('decoder'), config, wideEntry).pixels_BCHW,
        ...Object.fromEntries(
          Object.entries({ ...encoded.hidden, ...decoded.hidden }).map(([name, x]) => [`hidden.${name}`, x]),
        ),
      },
      {
        ...feeds,
        codes: int32(fixture.ints('outputs.codes'), fixture.shape('outputs.codes')),
        wide: int32(fixture.ints('inputs.indices_nonsquare'), fixture.shape('inputs.indices_nonsquare')),
      },
      fixture.weights(),
    );
    for (const key of fixture.names('outputs.')) {
      const name = key.slice('outputs.'.length);
      if (name === 'codes' || name === 'quantizer_indices')
        expect(Array.from(got.codes_out!), key).toEqual(fixture.ints(key));
      else expectClose(got[name]!, fixture.f32(key), toleranceOf(fixture.json.tolerance, key), key);
    }
  });

  test('gradients of reconstruction, commitment and entropy through the straight-through estimator', async () => {
    const { scope, loss } = build(configOf(gradients.json.config));
    const got = await runGraph(parameterGradients(loss, scope), feeds, fixture.weights());
    const names = gradients.names('grads.');
    expect(names.length).toBe(scope.specs().length);
    const floor = gradientFloor(gradients.json.tolerance);
    for (const key of names)
      expectGradClose(got[`grad.${key.slice('grads.'.length)}`]!, gradients.f32(key), floor, key);
  });
});

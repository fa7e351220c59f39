import { randomInt } from 'node:crypto';
import { resolve } from 'node:path';
import { type EditRegion, encodePng, generationText, type NamedRegion, namedRegions } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { UsageError } from '../errors.ts';
import { addFaceOption, faceDocument, faceOf, faceOption, modelDocument, withModel } from '../model.ts';
import { addModelOptions, modelOptions, parseOptions, pathOption } from '../options.ts';
import { enlarge, planImages, slug, writeJson, writeOutput } from '../output.ts';
import { StatusLine } from '../progress.ts';
import { addSamplingOptions, promptNotes, samplingOptions } from '../sampling.ts';

const Options = z.object({
  ...modelOptions,
  ...samplingOptions,
  face: faceOption,
  region: z.string().optional(),
  mask: pathOption.optional(),
});

export function addEdit(program: Command, env: Environment): void {
  const command = program
    .command('edit')
    .description('make a part of a face anew after words')
    .argument('<image>', 'a photo with a face')
    .argument('<prompt>', 'a description of the face as it should be')
    .option('--region <part>', 'hair, eyes, mouth, or x,y,w,h in pixels of the photo')
    .option('--mask <file>', 'a picture of the size of the photo, white where it is made anew');
  addFaceOption(addModelOptions(addSamplingOptions(command))).action(
    (image: string, prompt: string, raw: Record<string, unknown>) => edit(env, image, prompt, raw),
  );
}

async function regionOf(env: Environment, { region, mask }: z.output<typeof Options>): Promise<EditRegion> {
  const got = region !== undefined && mask !== undefined ? 'both' : 'none';
  if ((region === undefined) === (mask === undefined))
    throw new UsageError(`edit: expected --region or --mask, got ${got}; try --region hair`);
  if (mask !== undefined) return decodeImage(resolve(env.cwd, mask), { name: mask });
  if (namedRegions.includes(region as NamedRegion)) return region as NamedRegion;
  const parts = /^\d+,\d+,\d+,\d+$/.test(region!) ? region!.split(',').map(Number) : undefined;
  if (!parts)
    throw new UsageError(
      `--region: expected ${namedRegions.join(', ')} or x,y,w,h in whole pixels, got ${JSON.stringify(region!.slice(0, 60))}; try --region hair`,
    );
  const [x, y, width, height] = parts as [number, number, number, number];
  return { x, y, width, height };
}

async function edit(env: Environment, image: string, prompt: string, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('edit', Options, raw);
  const { count, steps, temperature, candidates, scale } = options;
  const region = await regionOf(env, options);
  const seed = options.seed ?? randomInt(2 ** 32);
  const paths = await planImages(env, options.out, count, `${slug(prompt)}-${seed}`);
  const photo = await decodeImage(resolve(env.cwd, image), { name: image });
  await withModel(env, options, async (model) => {
    const { guidance = model.face.config.guidance } = options;
    const found = await faceOf(env, model, photo, image, options);
    for (const note of promptNotes(prompt, model)) env.stderr.write(`note: ${note}\n`);
    if (options.seed === undefined) env.stderr.write(`seed: ${seed} (repeat with --seed ${seed})\n`);
    const status = new StatusLine(env.stderr);
    const sampling = { count, steps, guidance, temperature, candidates, seed };
    const running = model.face.edit(found, prompt, { ...sampling, region, signal: env.signal });
    let next = await running.next();
    for (; !next.done; next = await running.next()) status.show(`step ${next.value.step}/${next.value.steps}`);
    status.clear();
    const images = next.value.map((made) => enlarge(made, scale));
    const part = options.region ?? 'mask';
    for (const [index, made] of images.entries()) {
      const settings = { index, steps, guidance, temperature, candidates, scale, region: part };
      await writeOutput(
        paths[index]!,
        encodePng(made, generationText({ prompt, seed, settings, modelHash: model.face.hash })),
      );
      if (!options.json) env.stdout.write(`${paths[index]}\n`);
    }
    if (options.json)
      writeJson(env, {
        image,
        face: faceDocument(found),
        prompt,
        region: part,
        ...sampling,
        model: modelDocument(model),
        device: model.face.device,
        images: images.map(({ width, height }, index) => ({ index, path: paths[index], width, height })),
      });
  });
}

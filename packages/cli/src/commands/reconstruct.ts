import { resolve } from 'node:path';
import { encodePng, faceView, psnr } from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { UsageError } from '../errors.ts';
import { addFaceOption, faceDocument, faceOf, faceOption, modelDocument, withModel } from '../model.ts';
import { addModelOptions, modelOptions, parseOptions, pathOption } from '../options.ts';
import { planFile, writeJson, writeOutput } from '../output.ts';

const Options = z.object({ ...modelOptions, face: faceOption, out: pathOption });

export function addReconstruct(program: Command, env: Environment): void {
  const command = program
    .command('reconstruct')
    .description('encode a face to image tokens and decode it again')
    .argument('<image>', 'a photo with a face')
    .requiredOption('--out <file>', 'the .png file to write');
  addFaceOption(addModelOptions(command)).action((image: string, raw: Record<string, unknown>) =>
    reconstruct(env, image, raw),
  );
}

async function reconstruct(env: Environment, image: string, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('reconstruct', Options, raw);
  if (!/\.png$/i.test(options.out))
    throw new UsageError(
      `--out: expected a .png file, got ${options.out}; try ${options.out.replace(/\.\w*$/, '')}.png`,
    );
  const path = await planFile(env, options.out);
  const photo = await decodeImage(resolve(env.cwd, image), { name: image });
  await withModel(env, options, async (model) => {
    const found = await faceOf(env, model, photo, image, options);
    env.signal.throwIfAborted();
    const result = await model.face.reconstruct(found);
    env.signal.throwIfAborted();
    const decibels = psnr(faceView(found, model.face.config.imageSize), result);
    await writeOutput(path, encodePng(result));
    const { width, height } = result;
    // JSON has no Infinity: null stands for equal pictures
    const psnrDb = Number.isFinite(decibels) ? Number(decibels.toFixed(3)) : null;
    if (options.json)
      writeJson(env, {
        image,
        face: faceDocument(found),
        out: path,
        width,
        height,
        psnrDb,
        model: modelDocument(model),
        device: model.face.device,
      });
    else env.stdout.write(`${path}\nPSNR ${decibels.toFixed(2)} dB against the aligned face, ${width}×${height}\n`);
  });
}

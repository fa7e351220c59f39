import { resolve } from 'node:path';
import { defaultDetectSettings, FaceWorkshop } from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { ItemsFailed } from '../errors.ts';
import { addJsonOption, jsonOption, parseOptions } from '../options.ts';
import { writeJson } from '../output.ts';

const HashFlags = z.object({ json: jsonOption, aligned: z.boolean().default(false) });

export function addDataHash(data: Command, env: Environment): void {
  const command = data
    .command('hash')
    .description('lines for an opt-out list: hash of a file, and of how each face in it looks')
    .argument('<photo...>', 'photos')
    .option('--aligned', 'the photos are aligned crops already, as CelebA has them');
  addJsonOption(command).action((photos: string[], raw: Record<string, unknown>) => hash(env, photos, raw));
}

async function hash(env: Environment, photos: string[], raw: Record<string, unknown>): Promise<void> {
  const flags = parseOptions('data hash', HashFlags, raw);
  const { runtime } = await env.openRuntime('auto');
  const workshop = new FaceWorkshop(runtime, null);
  // a face that a build would turn away for its quality can be listed as well
  const settings = { ...defaultDetectSettings, faces: 'all', minFacePixels: 0, maxYaw: 1e9, minSharpness: 0 } as const;
  const found: { photo: string; file: string; faces: string[] }[] = [];
  const unusable: string[] = [];
  try {
    for (const photo of photos) {
      env.signal.throwIfAborted();
      try {
        const { bytes, hash: file } = await workshop.read({ path: resolve(env.cwd, photo) });
        const { faces, rejected } = await workshop.photo(bytes, flags.aligned, settings);
        found.push({ photo, file: `sha256:${file}`, faces: faces.map((face) => `face:${face.hash}`) });
        unusable.push(...rejected.map((reason) => `${photo}: ${reason}`));
      } catch (error) {
        unusable.push(`${photo}: ${(error as Error).message}`);
      }
    }
  } finally {
    await workshop.close();
    await runtime.close();
  }
  if (flags.json) writeJson(env, { photos: found, unusable });
  else
    for (const { photo, file, faces } of found)
      env.stdout.write(`${[`# ${JSON.stringify(photo)}`, file, ...faces].join('\n')}\n`);
  if (unusable.length > 0) throw new ItemsFailed(unusable.length, `data hash: ${unusable.join('; ')}`);
}

import { constants } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type PixelImage, pixelImage } from '@unif2ace/core';
import { writeFileAtomic } from '@unif2ace/core/node';
import type { Environment } from './environment.ts';
import { CommandError, fileTrouble, quoted, UsageError } from './errors.ts';

const slugCharacters = 40;

/** A file name from a prompt: letters and digits of any script, joined by hyphens; "face" when nothing is left. */
export function slug(prompt: string): string {
  const words =
    prompt
      .slice(0, 400)
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  const whole = words.join('-');
  const cut = [...whole].slice(0, slugCharacters).join('');
  // whole words where there is more than one
  const kept = cut === whole ? cut : cut.replace(/-[^-]*$/, '');
  return kept || 'face';
}

async function kindOf(path: string): Promise<'folder' | 'file' | 'nothing'> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'nothing';
    throw new CommandError('--out', 'a place to write', `${fileTrouble(error)} (${path})`, 'another path');
  }
}

async function checkWritable(folder: string): Promise<void> {
  await access(folder, constants.W_OK).catch((error) => {
    throw new CommandError(
      '--out',
      'a folder that can be written',
      `${fileTrouble(error)} (${folder})`,
      'another path',
    );
  });
}

/** Checks a file before work starts: a PNG name in a folder that exists. Returns the full path. */
export async function planFile(env: Environment, out: string): Promise<string> {
  const path = resolve(env.cwd, out);
  const folder = dirname(path);
  if ((await kindOf(path)) === 'folder')
    throw new CommandError('--out', 'a file name', `the folder ${out}`, join(out, 'face.png'));
  if ((await kindOf(folder)) !== 'folder')
    throw new CommandError('--out', 'a file in a folder that exists', out, `to create ${dirname(out)} first`);
  await checkWritable(folder);
  return path;
}

/** Checks a folder before work starts; it need not exist, but what is above it must be a folder that can be written. */
export async function planFolder(env: Environment, out: string): Promise<string> {
  const path = resolve(env.cwd, out);
  let existing = path;
  while ((await kindOf(existing)) === 'nothing') existing = dirname(existing);
  if ((await kindOf(existing)) === 'file')
    throw new CommandError('--out', 'a folder', `the file ${existing}`, 'another name');
  await checkWritable(existing);
  return path;
}

/**
 * Paths of `count` pictures. `out` may be a .png file for one picture, or a folder, created when the first is written;
 * default: the folder out. @throws UsageError, CommandError
 */
export async function planImages(
  env: Environment,
  out: string | undefined,
  count: number,
  name: string,
): Promise<string[]> {
  if (out !== undefined && /\.(?:jpe?g|webp|gif|tiff?|avif|bmp)$/i.test(out))
    throw new UsageError(
      `--out: expected a .png file or a folder, got ${quoted(out)}; try ${out.replace(/\.\w+$/, '.png')}`,
    );
  const named = out !== undefined && /\.png$/i.test(out);
  if (named && count === 1) return [await planFile(env, out)];
  if (named && (await kindOf(resolve(env.cwd, out))) !== 'folder')
    throw new UsageError(
      `--out: expected a folder for ${count} images, got ${quoted(out)}; try ${out.replace(/\.png$/i, '')}`,
    );
  const folder = await planFolder(env, out ?? 'out');
  return Array.from({ length: count }, (_, i) => join(folder, count === 1 ? `${name}.png` : `${name}-${i}.png`));
}

/** Writes whole or not at all; creates the folder. */
export async function writeOutput(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomic(path, bytes);
  } catch (error) {
    throw new CommandError('--out', `to write ${path}`, fileTrouble(error), 'another path');
  }
}

/** Every pixel becomes a square of `factor` × `factor`. */
export function enlarge(image: PixelImage, factor: number): PixelImage {
  const out = pixelImage(image.width * factor, image.height * factor);
  for (let y = 0; y < out.height; y++)
    for (let x = 0; x < out.width; x++) {
      const from = 3 * (Math.floor(y / factor) * image.width + Math.floor(x / factor));
      out.data.set(image.data.subarray(from, from + 3), 3 * (y * out.width + x));
    }
  return out;
}

/** The one document of --json. */
export function writeJson(env: Environment, document: unknown): void {
  env.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

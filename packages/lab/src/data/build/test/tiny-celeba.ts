import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePng, pixelImage } from '@unif2ace/core';
import { Philox } from '@unif2ace/graph';
import sharp from 'sharp';
import { attributeNames } from '../../grammar/attributes.ts';

/** A folder in CelebA's layout with coloured blobs for faces, each different from all others. */
export async function writeTinyCelebA(
  folder: string,
  faces: number,
  seed = 1,
  identityOf = (face: number) => 1 + (face % 7),
): Promise<void> {
  const images = join(folder, 'img_align_celeba');
  await mkdir(images, { recursive: true });
  const random = new Philox(seed);
  const rows: string[] = [];
  const identities: string[] = [];
  for (let i = 1; i <= faces; i++) {
    const file = `${String(i).padStart(6, '0')}.jpg`;
    const image = pixelImage(89, 109);
    const waves = Array.from({ length: 12 }, () => [random.normal() * 0.2, random.normal() * 0.2, random.normal() * 3]);
    for (let y = 0; y < 109; y++)
      for (let x = 0; x < 89; x++)
        for (let c = 0; c < 3; c++) {
          const sum = waves.reduce((total, [a, b, phase]) => total + Math.sin(a! * x + b! * y + phase! + c), 0);
          image.data[3 * (89 * y + x) + c] = Math.round(Math.min(255, Math.max(0, 128 + 25 * sum)));
        }
    await writeFile(join(images, file), await sharp(encodePng(image)).jpeg().toBuffer());
    rows.push(`${file} ${attributeNames.map(() => (random.uniform() < 0.3 ? 1 : -1)).join(' ')}`);
    identities.push(`${file} ${identityOf(i)}`);
  }
  await writeFile(join(folder, 'list_attr_celeba.txt'), `${faces}\n${attributeNames.join(' ')}\n${rows.join('\n')}\n`);
  await writeFile(join(folder, 'identity_CelebA.txt'), `${identities.join('\n')}\n`);
}

/** Writes a JPEG again, with other bytes for nearly the same picture. */
export async function recompress(path: string): Promise<void> {
  await writeFile(
    path,
    await sharp(await readFile(path))
      .jpeg({ quality: 40 })
      .toBuffer(),
  );
}

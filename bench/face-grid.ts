import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { encodePng, generationText, imageGrid, type PixelImage, resize, UniF2ace } from '@unif2ace/core';
import { loadModel, writeFileAtomic } from '@unif2ace/core/node';
import { workerRuntime } from '@unif2ace/graph/node';

// Uncurated faces for eight prompts in one picture, eight for each: the grid of the documentation.
// usage: npx tsx --conditions=source bench/face-grid.ts [MODEL_FOLDER] [OUT.png]

const prompts = [
  'a smiling woman with blond hair',
  'a man with a beard',
  'a young woman with black hair and bangs',
  'an older man with gray hair',
  'a man wearing eyeglasses',
  'a woman wearing heavy makeup and lipstick',
  'a bald man',
  'a man wearing a hat',
];
const facesPerPrompt = 8;
const seed = 1;
const shownPixels = 96;

const root = join(import.meta.dirname, '..');
const folder = resolve(process.argv[2] ?? join(root, 'weights', 'pico'));
const out = resolve(process.argv[3] ?? join(root, 'out', 'face-grid.png'));
const runtime = workerRuntime();
const model = new UniF2ace(await loadModel(folder), runtime);
const faces: PixelImage[] = [];
for (const prompt of prompts) {
  const running = model.generate(prompt, { count: facesPerPrompt, seed });
  let next = await running.next();
  while (!next.done) next = await running.next();
  faces.push(...next.value.map((face) => resize(face, shownPixels, shownPixels)));
}
const record = generationText({
  prompt: prompts.join('; '),
  seed,
  settings: { facesPerPrompt },
  modelHash: model.hash,
});
await mkdir(dirname(out), { recursive: true });
await writeFileAtomic(out, encodePng(imageGrid(faces, { columns: facesPerPrompt }), record));
await model.close();
await runtime.close();
console.log(out);

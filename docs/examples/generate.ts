import { writeFile } from 'node:fs/promises';
import { encodePng, generationText, UniF2ace } from '@unif2ace/core';

// Faces from words: watch the steps, keep the pictures.

const model = await UniF2ace.load('pico');
const prompt = 'a smiling woman with blond hair';
const settings = { count: 2, steps: 12, guidance: 3, seed: 7 };

const run = model.generate(prompt, settings);
let next = await run.next();
for (; !next.done; next = await run.next()) {
  const { step, steps, tokens } = next.value;
  const masked = tokens[0]!.filter((code) => code < 0).length;
  console.log(`step ${step}/${steps}: ${masked} codes still masked`);
}
for (const [index, image] of next.value.entries()) {
  const mark = generationText({ prompt, seed: 7, settings: { ...settings, index }, modelHash: model.hash });
  await writeFile(`face-${index}.png`, encodePng(image, mark));
}
await model.close();

import { randomInt } from 'node:crypto';
import { encodePng, generationText } from '@unif2ace/core';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { modelDocument, type OpenModel, withModel } from '../model.ts';
import { addModelOptions, modelOptions, numberFrom, parseOptions, pathOption, seedOption } from '../options.ts';
import { enlarge, planImages, slug, writeJson, writeOutput } from '../output.ts';
import { StatusLine } from '../progress.ts';

const Options = z.object({
  ...modelOptions,
  count: numberFrom(1, 1024),
  steps: numberFrom(1, 1024),
  guidance: numberFrom(0, 100, 'real'),
  temperature: numberFrom(0, 100, 'real'),
  seed: seedOption.optional(),
  out: pathOption.optional(),
  scale: numberFrom(1, 64),
});

export function addGenerate(program: Command, env: Environment): void {
  const command = program
    .command('generate')
    .description('make faces from words')
    .argument('<prompt>', 'a description of the face; empty for any face')
    .option('-n, --count <number>', 'images to make', '1')
    .option('--steps <number>', 'denoising steps', '12')
    .option('--guidance <number>', 'how strongly the words count; 0 ignores them', '3')
    .option('--temperature <number>', 'variety; 0 is the most probable face', '1')
    .option('--seed <number>', 'the same seed gives the same bytes (default: a new one, printed)')
    .option('--out <file|folder>', 'a .png file, or a folder (default: out/)')
    .option('--scale <factor>', 'enlarge every pixel to a square of this side', '8');
  addModelOptions(command).action((prompt: string, raw: Record<string, unknown>) => generate(env, prompt, raw));
}

/** Things about a prompt that its writer should know. */
function promptNotes(prompt: string, { loaded }: OpenModel): string[] {
  if (prompt.trim() === '') return ['the prompt is empty: any face may come'];
  // t2i, sot and eot take three of the promptTokens + 1 places
  const room = loaded.config.promptTokens - 2;
  const tokens = loaded.tokenizer.encode(prompt).length;
  return tokens > room ? [`the prompt has ${tokens} tokens; the model reads the first ${room}, the rest is cut`] : [];
}

async function generate(env: Environment, prompt: string, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('generate', Options, raw);
  const { count, steps, guidance, temperature, scale } = options;
  const seed = options.seed ?? randomInt(2 ** 32);
  const paths = await planImages(env, options.out, count, `${slug(prompt)}-${seed}`);
  await withModel(env, options, async (model) => {
    for (const note of promptNotes(prompt, model)) env.stderr.write(`note: ${note}\n`);
    if (options.seed === undefined) env.stderr.write(`seed: ${seed} (repeat with --seed ${seed})\n`);
    const startMs = performance.now();
    const status = new StatusLine(env.stderr);
    const running = model.face.generate(prompt, { count, steps, guidance, temperature, seed, signal: env.signal });
    let next = await running.next();
    for (; !next.done; next = await running.next()) status.show(`step ${next.value.step}/${next.value.steps}`);
    status.clear();
    const images = next.value.map((image) => enlarge(image, scale));
    const elapsedMs = Math.round(performance.now() - startMs);
    for (const [index, image] of images.entries()) {
      const settings = { index, steps, guidance, temperature, scale };
      const record = generationText({ prompt, seed, settings, modelHash: model.face.hash });
      await writeOutput(paths[index]!, encodePng(image, record));
      if (!options.json) env.stdout.write(`${paths[index]}\n`);
    }
    if (options.json)
      writeJson(env, {
        prompt,
        seed,
        steps,
        guidance,
        temperature,
        model: modelDocument(model),
        device: model.face.device,
        elapsedMs,
        images: images.map(({ width, height }, index) => ({ index, path: paths[index], width, height })),
      });
  });
}

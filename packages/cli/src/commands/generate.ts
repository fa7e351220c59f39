import { randomInt } from 'node:crypto';
import { encodePng, generationText } from '@unif2ace/core';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { modelDocument, withModel } from '../model.ts';
import { addModelOptions, modelOptions, parseOptions } from '../options.ts';
import { enlarge, planImages, slug, writeJson, writeOutput } from '../output.ts';
import { StatusLine } from '../progress.ts';
import { addSamplingOptions, promptNotes, samplingOptions } from '../sampling.ts';

const Options = z.object({
  ...modelOptions,
  ...samplingOptions,
});

export function addGenerate(program: Command, env: Environment): void {
  const command = program
    .command('generate')
    .description('make faces from words')
    .argument('<prompt>', 'a description of the face; empty for any face');
  addModelOptions(addSamplingOptions(command)).action((prompt: string, raw: Record<string, unknown>) =>
    generate(env, prompt, raw),
  );
}

async function generate(env: Environment, prompt: string, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('generate', Options, raw);
  const { count, steps, temperature, candidates, scale } = options;
  const seed = options.seed ?? randomInt(2 ** 32);
  const paths = await planImages(env, options.out, count, `${slug(prompt)}-${seed}`);
  await withModel(env, options, async (model) => {
    const { guidance = model.face.config.guidance } = options;
    for (const note of promptNotes(prompt, model)) env.stderr.write(`note: ${note}\n`);
    if (options.seed === undefined) env.stderr.write(`seed: ${seed} (repeat with --seed ${seed})\n`);
    const startMs = performance.now();
    const status = new StatusLine(env.stderr);
    const sampling = { count, steps, guidance, temperature, candidates };
    const running = model.face.generate(prompt, { ...sampling, seed, signal: env.signal });
    let next = await running.next();
    for (; !next.done; next = await running.next()) status.show(`step ${next.value.step}/${next.value.steps}`);
    status.clear();
    const images = next.value.map((image) => enlarge(image, scale));
    const elapsedMs = Math.round(performance.now() - startMs);
    for (const [index, image] of images.entries()) {
      const settings = { index, steps, guidance, temperature, candidates, scale };
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
        candidates,
        model: modelDocument(model),
        device: model.face.device,
        elapsedMs,
        images: images.map(({ width, height }, index) => ({ index, path: paths[index], width, height })),
      });
  });
}

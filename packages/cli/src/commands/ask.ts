import { resolve } from 'node:path';
import { decodeImage } from '@unif2ace/core/node';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { CommandError } from '../errors.ts';
import { addFaceOption, faceDocument, faceOf, faceOption, modelDocument, withModel } from '../model.ts';
import { addModelOptions, modelOptions, parseOptions } from '../options.ts';
import { writeJson } from '../output.ts';
import { printable } from '../terminal.ts';

/** Options of `ask` and `describe`. */
export const AnswerOptions = z.object({ ...modelOptions, face: faceOption });

export function addAsk(program: Command, env: Environment): void {
  const command = program
    .command('ask')
    .description('answer a question about a face')
    .argument('<image>', 'a photo with a face')
    .argument('<question>', 'for example "Is the person smiling?"');
  addFaceOption(addModelOptions(command)).action((image: string, question: string, raw: Record<string, unknown>) => {
    const options = parseOptions('ask', AnswerOptions, raw);
    if (question.trim() === '')
      throw new CommandError('question', 'words', 'an empty text', '"Is the person smiling?"');
    return answer(env, image, question, options);
  });
}

/** Writes the answer as it comes; with --json, once, as a document. */
export async function answer(
  env: Environment,
  image: string,
  question: string | null,
  options: z.output<typeof AnswerOptions>,
): Promise<void> {
  const photo = await decodeImage(resolve(env.cwd, image), { name: image });
  await withModel(env, options, async (model) => {
    const startMs = performance.now();
    const found = await faceOf(env, model, photo, image, options);
    env.signal.throwIfAborted();
    const signal = { signal: env.signal };
    const pieces = question === null ? model.face.describe(found, signal) : model.face.ask(found, question, signal);
    let next = await pieces.next();
    for (; !next.done; next = await pieces.next()) if (!options.json) env.stdout.write(printable(next.value));
    const text = next.value;
    const elapsedMs = Math.round(performance.now() - startMs);
    if (!options.json) env.stdout.write('\n');
    else
      writeJson(env, {
        image,
        face: faceDocument(found),
        ...(question === null ? { description: text } : { question, answer: text }),
        model: modelDocument(model),
        device: model.face.device,
        elapsedMs,
      });
  });
}

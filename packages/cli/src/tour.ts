import { join, resolve } from 'node:path';
import {
  encodePng,
  type FaceInput,
  faceView,
  generationText,
  imageGrid,
  type LookedAt,
  type PixelImage,
} from '@unif2ace/core';
import { decodeImage } from '@unif2ace/core/node';
import type { Environment } from './environment.ts';
import { exitCodes, oneLine } from './errors.ts';
import { faceOf, type OpenModel, withModel } from './model.ts';
import { defaultModel } from './options.ts';
import { enlarge, slug, writeOutput } from './output.ts';
import { StatusLine } from './progress.ts';
import { drawImages, hasTrueColour, printable } from './terminal.ts';

export interface TourOptions {
  /** Default: the command's. */
  model?: string;
  prompts?: readonly string[];
  facesPerPrompt?: number;
}

const prompts = [
  'a smiling young woman with long blond hair',
  'a man with black hair, a beard and eyeglasses',
  'an old man with gray hair',
];
const questions = ['Is this a man or a woman?', 'Is the person smiling?', "What color is the person's hair?"];
const seed = 1;
const scale = 8;

function header(env: Environment, { face }: OpenModel): void {
  env.stdout.write(
    [
      'UniF²ace: one model that makes faces from words, describes faces and answers questions about them.',
      `Model ${face.config.name} (${face.config.imageSize}×${face.config.imageSize} px, SHA-256 ${face.hash.slice(0, 12)}…), on this machine's ${face.device}.`,
      'The weights learnt from CelebA: non-commercial research only. The code is Apache-2.0. The faces are made up.',
      '',
      '',
    ].join('\n'),
  );
}

/** Description and two answers, one per line. */
async function talkAbout(env: Environment, { face }: OpenModel, photo: FaceInput): Promise<void> {
  const looked: LookedAt = await face.look(photo);
  const say = async (label: string, pieces: AsyncGenerator<string, string>) => {
    env.stdout.write(`  ${label} `);
    for await (const piece of pieces) env.stdout.write(printable(piece));
    env.stdout.write('\n');
  };
  const signal = { signal: env.signal };
  await say('It sees:', face.describe(looked, signal));
  for (const question of questions) await say(question, face.ask(looked, question, signal));
  env.stdout.write('\n');
}

async function makeFaces(env: Environment, model: OpenModel, prompt: string, count: number): Promise<PixelImage[]> {
  const status = new StatusLine(env.stderr);
  const running = model.face.generate(prompt, { count, seed, signal: env.signal });
  let next = await running.next();
  for (; !next.done; next = await running.next()) status.show(`step ${next.value.step}/${next.value.steps}`);
  status.clear();
  return next.value;
}

/**
 * What `npm run tour` shows: faces for three prompts, saved, drawn when the terminal can, described and asked about; then the
 * same talk about every photo given. Returns the exit code: 1 when a photo could not be read.
 */
export async function tour(env: Environment, photos: readonly string[], options: TourOptions = {}): Promise<number> {
  const { model: name = defaultModel, facesPerPrompt = 4 } = options;
  const folder = join('out', 'demo');
  const colour = hasTrueColour(env.stdout);
  const show = (images: readonly PixelImage[]) => colour && drawImages(env.stdout, images);
  let code: number = exitCodes.done;
  try {
    await withModel(env, { json: true, device: 'auto', model: name }, async (model) => {
      header(env, model);
      const all: PixelImage[] = [];
      const save = async (file: string, image: PixelImage, prompt: string, settings: Record<string, unknown>) => {
        const record = generationText({ prompt, seed, settings, modelHash: model.face.hash });
        await writeOutput(resolve(env.cwd, folder, file), encodePng(image, record));
        env.stdout.write(`  ${join(folder, file)}\n`);
      };
      for (const prompt of options.prompts ?? prompts) {
        env.stdout.write(`"${prompt}"\n`);
        const faces = await makeFaces(env, model, prompt, facesPerPrompt);
        show(faces);
        for (const [index, image] of faces.entries())
          await save(`${slug(prompt)}-${seed}-${index}.png`, enlarge(image, scale), prompt, { index, scale });
        all.push(...faces);
        await talkAbout(env, model, faces[0]!);
      }
      env.stdout.write('All of them:\n');
      const grid = imageGrid(
        all.map((image) => enlarge(image, scale / 2)),
        { columns: facesPerPrompt },
      );
      await save('grid.png', grid, (options.prompts ?? prompts).join(' | '), { columns: facesPerPrompt });
      env.stdout.write('\n');
      for (const path of photos) {
        env.stdout.write(`${path}\n`);
        try {
          const photo = await decodeImage(resolve(env.cwd, path), { name: path });
          const found = await faceOf(env, model, photo, path, { json: false });
          show([faceView(found, model.face.config.imageSize)]);
          await talkAbout(env, model, found);
        } catch (error) {
          env.signal.throwIfAborted();
          env.stderr.write(`${oneLine((error as Error).message)}\n`);
          code = exitCodes.failed;
        }
      }
      env.stdout.write(
        [
          'Go on with:',
          '  npx unif2ace generate "a woman with brown hair and earrings" -n 4 --seed 7',
          '  npx unif2ace describe photo.jpg',
          '  npx unif2ace ask photo.jpg "Does the person wear eyeglasses?"',
          '  npx unif2ace --help',
          '',
        ].join('\n'),
      );
    });
  } catch (error) {
    if (env.signal.aborted) code = exitCodes.interrupted;
    else {
      env.stderr.write(`${oneLine((error as Error).message)}\n`);
      code = exitCodes.failed;
    }
  }
  return code;
}

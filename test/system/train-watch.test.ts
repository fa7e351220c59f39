import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../packages/cli/src/program.ts';
import { writeTinyCelebA } from '../../packages/lab/src/data/build/test/tiny-celeba.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'train-watch-'));
  await writeTinyCelebA(join(folder, 'celeba'), 40);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('a recipe of one’s own is trained by the command, and its page tells of it from the first step to the last', async () => {
  const tiny = join(import.meta.dirname, '../../packages/lab/src/training/test/tiny-recipe.ts');
  await writeFile(
    join(folder, 'mine.mts'),
    `import { tinyRecipe } from ${JSON.stringify(tiny)};
const samples: object = { everySteps: 1, prompts: ['a man'], facesPerPrompt: 1, faces: 1 };
export default tinyRecipe({ name: 'mine', monitor: { samples, routing: { everySteps: 1 } } });
`,
  );
  let told = '';
  const going = run(['train', './mine.mts', '--data', 'celeba', '--out', 'run', '--watch', '--port', '0', '--json'], {
    stdout: { write: () => {} },
    stderr: {
      write: (text) => {
        told += text;
      },
    },
    cwd: folder,
    root: folder,
    signal: new AbortController().signal,
    openRuntime: () => {
      throw new Error('training has a runtime of its own');
    },
  });
  let ended = false;
  going.finally(() => {
    ended = true;
  });
  const url = async () => {
    while (!ended) {
      const known = /^watch: (http:\S+)$/m.exec(told)?.[1];
      if (known) return known;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(told);
  };
  const page = await url();
  const stages = new Set<string>();
  while (!ended) {
    const reply = await fetch(`${page}api/run`).catch(() => undefined);
    const view = (await reply?.json()) as { stages: { stage: string }[] } | undefined;
    for (const { stage } of view?.stages ?? []) stages.add(stage);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(await going, told).toBe(0);
  expect(stages).toContain('face encoder');
  expect(stages).toContain('tokenizer');
  await expect(fetch(page)).rejects.toThrow('fetch failed');
  const kinds = (await readFile(join(folder, 'run', 'metrics.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { kind: string }).kind);
  for (const kind of ['begin', 'progress', 'routing', 'samples', 'answers']) expect(kinds).toContain(kind);
  expect(told).toMatch(/tokens\/s|samples in samples/);
});

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { loadRecipe } from '@unif2ace/lab';
import { expect, test } from 'vitest';

const files = (await readdir(import.meta.dirname)).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));

test.each(files)('the bundled recipe %s passes the check', async (file) => {
  expect(await loadRecipe(pathToFileURL(join(import.meta.dirname, file)).href)).toHaveProperty('kind');
});

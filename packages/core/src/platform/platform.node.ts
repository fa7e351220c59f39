import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openRuntime } from '@unif2ace/graph/node';
import { folderSource } from '../model/folder.node.ts';
import { ModelError, type ModelSource } from '../model/source.ts';
import type { Platform } from './platform.ts';

/** The nearest folder named weights above this file: of the installed package, or of the checkout around it. */
function weightsFolder(): string | null {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'weights'))) return join(folder, 'weights');
    if (folder === dirname(folder)) return null;
  }
}

async function findModel(model: string | URL): Promise<ModelSource> {
  const isAddress = model instanceof URL || model.startsWith('file:');
  const folder = isAddress ? fileURLToPath(model) : resolve(model);
  const weights = weightsFolder();
  const entries = weights && !isAddress ? await readdir(weights) : [];
  // a classifier has no text tokenizer
  const bundled = entries.filter((name) => existsSync(join(weights!, name, 'tokenizer.json'))).sort();
  if (bundled.includes(String(model))) return folderSource(join(weights!, String(model)));
  if (existsSync(folder)) return folderSource(folder);
  throw new ModelError(
    `model: expected a folder or a bundled name (${bundled.join(', ') || 'none here'}), got ${model}; try ${bundled[0] ?? 'the folder that training wrote'}`,
  );
}

export const platform: Platform = {
  loading: ({ device }) => ({
    findModel,
    prediction: { downloadBytes: 0, cachedBytes: 0 },
    openRuntime: (options) => openRuntime(device, options),
  }),
};

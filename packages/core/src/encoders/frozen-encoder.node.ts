import { join } from 'node:path';
import type { Runtime } from '@unif2ace/graph';
import { writeFileAtomic } from '../checkpoint/atomic.node.ts';
import { folderSource } from '../model/folder.node.ts';
import { readConfig, readPart } from '../model/source.ts';
import { FrozenEncoder, FrozenEncoderConfig } from './frozen-encoder.ts';

const files = { config: 'encoder.json', network: 'encoder.onnx' } as const;

/** Opens a folder with encoder.json and encoder.onnx. @throws ModelError, SessionError */
export async function loadFrozenEncoder(folder: string, runtime: Runtime): Promise<FrozenEncoder> {
  const names = Object.values(files);
  const source = folderSource(folder);
  const config = await readConfig(source, files.config, names, FrozenEncoderConfig, 'unif2ace-encoder-1');
  return FrozenEncoder.load(config, await readPart(source, files.network, names), runtime);
}

/** Writes the folder; the description comes last, so that what it describes is there. */
export async function saveFrozenEncoder(folder: string, config: FrozenEncoderConfig, onnx: Uint8Array): Promise<void> {
  await writeFileAtomic(join(folder, files.network), onnx);
  await writeFileAtomic(join(folder, files.config), `${JSON.stringify(config, null, 2)}\n`);
}

import { open } from 'node:fs/promises';
import { writeFileAtomic } from './atomic.node.ts';
import {
  encodeHeader,
  encodeTensor,
  headerLength,
  parseHeader,
  type SafetensorsHeader,
  sortForStorage,
  type StoredTensor,
  type TensorToStore,
} from './safetensors.ts';

/** An open file whose tensors are read one at a time. */
export interface OpenSafetensors {
  readonly header: SafetensorsHeader;
  /** @throws Error when there is no such tensor. */
  read(name: string): Promise<StoredTensor>;
  close(): Promise<void>;
}

/** Opens a file of any size and checks its header. @throws SafetensorsError, or an error naming the path. */
export async function openSafetensors(path: string): Promise<OpenSafetensors> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`safetensors: cannot open ${path} (${error.code}); try another path`);
  });
  const readAt = async (position: number, length: number) => {
    const bytes = new Uint8Array(length);
    const { bytesRead } = await file.read(bytes, 0, length, position);
    return bytes.subarray(0, bytesRead);
  };
  try {
    const { size } = await file.stat();
    const length = headerLength(await readAt(0, 8), size);
    const header = parseHeader(await readAt(8, length), size);
    return {
      header,
      close: () => file.close(),
      read: async (name) => {
        const entry = header.tensors.get(name);
        if (!entry) throw new Error(`safetensors: ${path} has no tensor ${name}`);
        const data = await readAt(header.dataOffset + entry.begin, entry.end - entry.begin);
        return { dtype: entry.dtype, shape: entry.shape, data };
      },
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Writes a file tensor by tensor; it appears under its name only when it is complete. */
export async function writeSafetensorsFile(
  path: string,
  tensors: readonly TensorToStore[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const sorted = sortForStorage(tensors);
  await writeFileAtomic(path, async (write) => {
    await write(encodeHeader(sorted, metadata));
    for (const tensor of sorted) await write(encodeTensor(tensor));
  });
}

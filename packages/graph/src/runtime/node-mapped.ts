import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeModel } from '../onnx/encode.ts';
import type { OnnxModel, OnnxTensor } from '../onnx/model.ts';

const weightsFile = 'weights.bin';
/** Page size: the engine maps what begins at one. */
const alignBytes = 4096;
/** Smaller weights stay in the graph. */
const thresholdBytes = 1024;

/**
 * Weights of all graphs of a runtime in one file, each once, that sessions map instead of holding copies: memory does not grow with
 * the number of graphs, and the system may drop and read back pages. The folder lies among temporary files until `close`.
 */
export class MappedWeights {
  readonly #folder = mkdtempSync(join(tmpdir(), 'unif2ace-'));
  readonly #offsets = new Map<string, number>();
  #end = 0;
  #graphs = 0;

  /** Writes the graph and those of its weights that are new; the path of the graph. */
  write(model: OnnxModel): string {
    const places = new Map(
      model.initializers
        .filter(({ data }) => data.byteLength >= thresholdBytes)
        .map((tensor) => [tensor, { file: weightsFile, offset: this.#place(tensor) }]),
    );
    const path = join(this.#folder, `graph-${this.#graphs++}.onnx`);
    writeFileSync(path, encodeModel(model, { externalPlaces: places }).bytes);
    return path;
  }

  #place({ data }: OnnxTensor): number {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const key = createHash('sha256').update(bytes).digest('hex');
    const known = this.#offsets.get(key);
    if (known !== undefined) return known;
    const file = join(this.#folder, weightsFile);
    const offset = Math.ceil(this.#end / alignBytes) * alignBytes;
    if (this.#end > 0) truncateSync(file, offset);
    appendFileSync(file, bytes, { mode: 0o600 });
    this.#end = offset + bytes.length;
    this.#offsets.set(key, offset);
    return offset;
  }

  /** Bytes of all weights. */
  get bytes(): number {
    return this.#end;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

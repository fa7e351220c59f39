import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ProtobufWriter } from '@unif2ace/graph';
import type { TrainEvent } from '../events.ts';
import { maskedCrc32c } from './crc32c.ts';

// Events and their fields as TensorBoard's event.proto and summary.proto number them.

export type SummaryValue =
  | { tag: string; scalar: number }
  | { tag: string; png: Uint8Array; width: number; height: number };

/** One record of a TFRecord file: length, its checksum, data, its checksum; little-endian. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(16 + data.length);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return record;
}

function event(seconds: number, step: number, write: (event: ProtobufWriter) => void): Uint8Array {
  const writer = new ProtobufWriter();
  writer.double(1, seconds);
  // zero is the default and is left out
  if (step !== 0) writer.int(2, step);
  write(writer);
  return tfRecord(writer.finish());
}

/** The record that every event file begins with. */
export function versionRecord(seconds: number): Uint8Array {
  return event(seconds, 0, (writer) => writer.string(3, 'brain.Event:2'));
}

/** Tells TensorBoard to forget what earlier files of the folder hold from this step on. */
export function restartRecord(seconds: number, step: number): Uint8Array {
  return event(seconds, step, (writer) => writer.message(7, (session) => session.int(1, 1)));
}

export function summaryRecord(seconds: number, step: number, values: readonly SummaryValue[]): Uint8Array {
  return event(seconds, step, (writer) =>
    writer.message(5, (summary) => {
      for (const value of values)
        summary.message(1, (entry) => {
          entry.string(1, value.tag);
          if ('scalar' in value) entry.float(2, value.scalar);
          else
            entry.message(4, (image) => {
              image.int(1, value.height);
              image.int(2, value.width);
              // 3: RGB
              image.int(3, 3);
              image.bytes(4, value.png);
            });
        });
    }),
  );
}

/** Event files of a run, a folder for each stage: TensorBoard then shows stages as runs, each from its first step. */
export class TensorBoardWriter {
  readonly #folder: string;
  readonly #now: () => number;
  #file: number | undefined;

  constructor(runFolder: string, now: () => number = Date.now) {
    this.#folder = runFolder;
    this.#now = now;
  }

  append(event: TrainEvent): void {
    const seconds = this.#now() / 1000;
    if (event.kind === 'begin') this.#begin(event.stage, event.step, seconds);
    else if (this.#file !== undefined && 'step' in event) {
      const values = valuesOf(event, this.#folder);
      if (values.length > 0) writeSync(this.#file, summaryRecord(seconds, event.step, values));
    }
  }

  #begin(stage: string, step: number, seconds: number): void {
    this.close();
    const folder = join(this.#folder, 'tensorboard', stage.replaceAll(' ', '-'));
    mkdirSync(folder, { recursive: true });
    const name = `events.out.tfevents.${Math.floor(seconds)}.unif2ace.${process.pid}.${step}`;
    this.#file = openSync(join(folder, name), 'a');
    writeSync(this.#file, versionRecord(seconds));
    writeSync(this.#file, restartRecord(seconds, step + 1));
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

function valuesOf(event: Exclude<TrainEvent, { kind: 'log' | 'stage' }>, folder: string): SummaryValue[] {
  if (event.kind === 'progress') {
    const { loss, metrics, learningRate, gradNorm, tokensPerSecond, peakShare, memoryBytes } = event;
    const figures = {
      loss,
      ...Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`loss/${name}`, value])),
      'optimizer/learning_rate': learningRate,
      'optimizer/gradient_norm': gradNorm,
      'machine/tokens_per_second': tokensPerSecond,
      'machine/memory_bytes': memoryBytes,
      ...(peakShare !== undefined && { 'machine/share_of_peak': peakShare }),
    };
    return Object.entries(figures).map(([tag, scalar]) => ({ tag, scalar }));
  }
  if (event.kind === 'routing')
    return event.routers.flatMap(({ task, level, layer, load, entropy, scoreEntropy }) => {
      const tag = (name: string) => `routing/${task}/${level}/layer${layer}/${name}`;
      return [
        { tag: tag('entropy'), scalar: entropy },
        { tag: tag('score_entropy'), scalar: scoreEntropy },
        ...load.map((scalar, expert) => ({ tag: tag(`load${expert}`), scalar })),
      ];
    });
  if (event.kind === 'samples') {
    const png = readFileSync(join(folder, event.file));
    // width and height stand at fixed places of the header
    return [{ tag: 'samples', png, width: png.readUInt32BE(16), height: png.readUInt32BE(20) }];
  }
  return [];
}

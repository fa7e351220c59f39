import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePng, pixelImage } from '@unif2ace/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { crc32c } from './crc32c.ts';
import { restartRecord, summaryRecord, TensorBoardWriter, tfRecord, versionRecord } from './tensorboard.ts';

const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

test('CRC-32C of RFC 3720, appendix B.4, and of the check string', () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(ascending)).toBe(0x46dd794e);
  expect(crc32c(ascending.toReversed())).toBe(0x113fdb5c);
  expect(crc32c(bytes('123456789'))).toBe(0xe3069283);
});

describe('records, byte for byte as TensorFlow and tensorboard_logger write them', () => {
  const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');

  test('the version record, at two times', () => {
    const record = (seconds: string, checksum: string) =>
      `1800000000000000a37f4b2209${seconds}1a0d627261696e2e4576656e743a32${checksum}`;
    // the first: tensorboard_logger's test with a time of 256.5 s; the second: TensorFlow's event_file_loader test
    expect(hex(versionRecord(256.5))).toBe(record('0000000000087040', 'bc98212b'));
    const seconds = Buffer.from('00000027e6b3d541', 'hex').readDoubleLE();
    expect(hex(versionRecord(seconds))).toBe(record('00000027e6b3d541', '6a4d0b15'));
  });

  test('a scalar', () => {
    expect(hex(summaryRecord(256.5, 1, [{ tag: 'v/1', scalar: 1.5 }]))).toBe(
      `19000000000000008bf108280900000000000870401001${hex(bytes('*\f\n\n\n\x03v/1\x15\0\0\xc0?'))}2cecc087`,
    );
  });

  test('a restart at a step', () => {
    // wall_time, step 7, session_log { status: START }
    expect(hex(restartRecord(256.5, 7)).slice(24, -8)).toBe(`09000000000008704010073a020801`);
  });
});

/** Splits a file into records and checks lengths; what the format's description says, not our writer. */
function recordsOf(file: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(Buffer.from(tfRecord(data))).toEqual(file.subarray(at, at + 16 + length));
    records.push(data);
    at += 16 + length;
  }
  return records;
}

describe('event files of a run', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tensorboard-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('a folder for each stage; a resumed stage begins with a restart; pictures are in', async () => {
    const picture = encodePng(pixelImage(5, 3));
    await writeFile(join(folder, 'grid.png'), picture);
    let nowMs = 256_500;
    const writer = new TensorBoardWriter(folder, () => nowMs++);
    const routers = [
      { task: 't2i', level: 'token', layer: 0, load: [0.5, 1.5], entropy: 0.8, scoreEntropy: 0.9 },
    ] as const;
    writer.append({ kind: 'begin', stage: 'face encoder', step: 0, steps: 4 });
    writer.append({ kind: 'begin', stage: 'both', step: 2, steps: 4 });
    writer.append({
      kind: 'routing',
      stage: 'both',
      step: 3,
      routers: routers.map((r) => ({ ...r, load: [...r.load] })),
    });
    writer.append({
      kind: 'samples',
      stage: 'both',
      step: 4,
      file: 'grid.png',
      prompts: ['a man'],
      facesPerPrompt: 1,
      seed: 0,
      settings: { steps: 12, guidance: 3, weights: 'average' },
    });
    writer.close();
    expect((await readdir(join(folder, 'tensorboard'))).sort()).toEqual(['both', 'face-encoder']);
    const [name] = await readdir(join(folder, 'tensorboard', 'both'));
    const [version, restart, routing, samples] = recordsOf(
      await readFile(join(folder, 'tensorboard', 'both', name!)),
    ) as [Buffer, Buffer, Buffer, Buffer];
    expect(version.toString('latin1')).toContain('brain.Event:2');
    // step 3, the first that the resumed run makes, in field 2
    expect([...restart.subarray(9, 11)]).toEqual([0x10, 3]);
    for (const tag of ['entropy', 'score_entropy', 'load0', 'load1'])
      expect(routing.toString('latin1')).toContain(`routing/t2i/token/layer0/${tag}`);
    const image = Buffer.concat([Buffer.from([8, 3, 16, 5, 24, 3, 34, picture.length]), picture]);
    expect(samples.includes(image)).toBe(true);
  });
});

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bytesPerElement,
  decodeBigIntegers,
  decodeFloat32,
  decodeIntegers,
  encodeHeader,
  encodeSafetensors,
  encodeTensor,
  headerLength,
  readSafetensors,
  SafetensorsError,
  type StoredDType,
  type TensorToStore,
} from './safetensors.ts';

const fixtures = join(import.meta.dirname, '..', '..', '..', '..', 'test', 'fixtures');

function fileOf(header: string | Uint8Array, dataBytes: number, statedLength?: bigint): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, statedLength ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

const entry = (dtype: unknown, shape: unknown, offsets: unknown) =>
  JSON.stringify({ dtype, shape, data_offsets: offsets });
const good = entry('F32', [2], [0, 8]);

describe('files that are refused', () => {
  test.each<[string, Uint8Array, RegExp]>([
    ['empty file', new Uint8Array(0), /header: expected at least 8 bytes, got a file of 0 bytes/],
    ['header beyond the file', fileOf('{}', 0, 3n), /within the file's 10 bytes, got a stated length of 3/],
    [
      'length of 2^63',
      fileOf('{}', 0, 2n ** 63n),
      /at most 100000000 bytes, got a stated length of 9223372036854775808/,
    ],
    ['length too short', fileOf(`{"a":${good}}`, 8, 20n), /expected JSON in UTF-8/],
    ['length too long', fileOf(`{"a":${good}}`, 8, BigInt(good.length + 6 + 4)), /expected JSON in UTF-8/],
    ['no header', fileOf('', 0), /expected JSON that begins with \{/],
    ['not JSON', fileOf('{"a":', 0), /expected JSON in UTF-8/],
    ['an array', fileOf('[1]', 0), /expected JSON that begins with \{, got \[1\]/],
    ['white space first', fileOf(' {}', 0), /expected JSON that begins with \{/],
    ['not UTF-8', fileOf(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), 0), /expected JSON in UTF-8/],
    ['a tensor twice', fileOf(`{"a":${good},"a":${good}}`, 8), /expected each key once, got two of a/],
    ['a tensor twice, one escaped', fileOf(`{"a":${good},"\\u0061":${good}}`, 8), /each key once, got two of a/],
    [
      'a field twice',
      fileOf('{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}', 8),
      /two of dtype/,
    ],
    [
      'metadata no strings',
      fileOf(`{"__metadata__":{"step":7},"a":${good}}`, 8),
      /__metadata__: expected an object of strings, got \{"step":7\}/,
    ],
    ['entry no object', fileOf('{"a":[1]}', 0), /a: expected an object with dtype, shape and data_offsets, got \[1\]/],
    ['unknown type', fileOf(`{"a":${entry('F31', [2], [0, 8])}}`, 8), /a\.dtype: expected one of BOOL, .*, got "F31"/],
    [
      'type from the prototype',
      fileOf(`{"a":${entry('constructor', [2], [0, 8])}}`, 8),
      /a\.dtype: .* got "constructor"/,
    ],
    ['no type', fileOf(`{"a":${entry(undefined, [2], [0, 8])}}`, 8), /a\.dtype: .* got nothing/],
    [
      'negative shape',
      fileOf(`{"a":${entry('F32', [-2], [0, 8])}}`, 8),
      /a\.shape: expected non-negative integers, got \[-2\]/,
    ],
    ['fractional shape', fileOf(`{"a":${entry('F32', [0.5], [0, 8])}}`, 8), /a\.shape: .* got \[0\.5\]/],
    ['shape beyond 2^53', fileOf(`{"a":${entry('F32', [2 ** 53], [0, 8])}}`, 8), /a\.shape/],
    [
      'product that overflows',
      fileOf(`{"a":${entry('F32', [2 ** 40, 2 ** 40], [0, 8])}}`, 8),
      /a\.data_offsets: expected .* got 0 to 8/,
    ],
    [
      'three offsets',
      fileOf(`{"a":${entry('F32', [2], [0, 4, 8])}}`, 8),
      /a\.data_offsets: expected two byte positions/,
    ],
    [
      'negative offset',
      fileOf(`{"a":${entry('F32', [2], [-8, 0])}}`, 8),
      /a\.data_offsets: expected two byte positions/,
    ],
    [
      'offsets reversed',
      fileOf(`{"a":${entry('F32', [2], [8, 0])}}`, 8),
      /a\.data_offsets: expected 8 bytes for F32\[2\], got 8 to 0/,
    ],
    [
      'offsets against shape',
      fileOf(`{"a":${entry('F32', [3], [0, 8])}}`, 8),
      /expected 12 bytes for F32\[3\], got 0 to 8/,
    ],
    [
      'overlap',
      fileOf(`{"a":${good},"b":${entry('F32', [2], [4, 12])}}`, 12),
      /b\.data_offsets: expected data from byte 8 on, got 4 \(overlap\)/,
    ],
    ['same range twice', fileOf(`{"a":${good},"b":${good}}`, 8), /b\.data_offsets: .* \(overlap\)/],
    [
      'gap',
      fileOf(`{"a":${good},"b":${entry('F32', [2], [12, 20])}}`, 20),
      /b\.data_offsets: expected data from byte 8 on, got 12 \(gap\)/,
    ],
    ['gap at the start', fileOf(`{"a":${entry('F32', [2], [4, 12])}}`, 12), /a\.data_offsets: .* got 4 \(gap\)/],
    ['data cut', fileOf(`{"a":${good}}`, 7), /data: expected 8 bytes, got 7 \(the file is truncated\)/],
    ['data behind', fileOf(`{"a":${good}}`, 9), /data: expected 8 bytes, got 9 \(the file is too long\)/],
  ])('%s', (_, bytes, message) => {
    const read = () => readSafetensors(bytes);
    expect(read).toThrow(SafetensorsError);
    expect(read).toThrow(message);
    expect(read).toThrow(/^safetensors: [^\n]*: expected [^\n]*, got [^\n]*; try [^\n]*$/);
  });

  test('a header above 100 MB, without reading it', () => {
    const first = new Uint8Array(8);
    new DataView(first.buffer).setBigUint64(0, 100_000_001n, true);
    expect(() => headerLength(first, 1e12)).toThrow(/at most 100000000 bytes, got a stated length of 100000001/);
    new DataView(first.buffer).setBigUint64(0, 100_000_000n, true);
    expect(headerLength(first, 1e12)).toBe(100_000_000);
  });

  test('names from the file do not break the line', () => {
    expect(() => readSafetensors(fileOf(`{"a\\nb\\u001b[2J":${entry('F32', [3], [0, 8])}}`, 8))).toThrow(
      /^safetensors: a b \[2J\.data_offsets[^\n]*$/,
    );
  });

  test('every cut of a good file', () => {
    const bytes = encodeSafetensors([{ name: 'w', dtype: 'F32', shape: [3], data: Float32Array.of(1, 2, 3) }]);
    for (let length = 0; length < bytes.length; length++)
      expect(() => readSafetensors(bytes.subarray(0, length)), `${length} bytes`).toThrow(SafetensorsError);
  });
});

describe('files of the original writer', () => {
  const files = readdirSync(fixtures).filter((file) => file.endsWith('.safetensors'));
  test('are there', () => expect(files.length).toBeGreaterThan(10));
  test.each(files)('%s', (file) => {
    const bytes = readFileSync(join(fixtures, file));
    const { tensors, metadata } = readSafetensors(bytes);
    // in the order of the file, our header is the original one byte for byte
    const length = headerLength(bytes, bytes.length);
    const stored = [...tensors]
      .map(([name, tensor]) => ({ name, ...tensor }))
      .sort((a, b) => a.data.byteOffset - b.data.byteOffset);
    expect(Buffer.from(encodeHeader(stored, metadata)).equals(bytes.subarray(0, 8 + length))).toBe(true);
    const again = readSafetensors(encodeSafetensors(stored, metadata)).tensors;
    for (const { name, dtype, shape, data } of stored) {
      expect(again.get(name)).toMatchObject({ dtype, shape });
      expect(Buffer.from(again.get(name)!.data).equals(data)).toBe(true);
    }
  });
});

const dtype = fc.constantFrom(...(Object.keys(bytesPerElement) as StoredDType[]));
const tensorBytes = fc.tuple(dtype, fc.array(fc.nat({ max: 4 }), { maxLength: 4 })).chain(([type, shape]) => {
  const bytes = shape.reduce((a, b) => a * b, bytesPerElement[type]);
  return fc.record({
    name: fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), fc.constantFrom('toString', '__proto__', '0', '')),
    dtype: fc.constant(type),
    shape: fc.constant(shape),
    data: fc.uint8Array({ minLength: bytes, maxLength: bytes }),
  });
});
const tensorSet: fc.Arbitrary<TensorToStore[]> = fc.uniqueArray(tensorBytes, {
  selector: ({ name }) => name,
  maxLength: 8,
});

describe('round trips', () => {
  test('any tensors and metadata; the order given does not matter', () => {
    fc.assert(
      fc.property(tensorSet, fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }), (tensors, metadata) => {
        fc.pre(tensors.every(({ name }) => name !== '__metadata__'));
        const bytes = encodeSafetensors(tensors, metadata);
        expect(encodeSafetensors([...tensors].reverse(), metadata)).toEqual(bytes);
        const read = readSafetensors(bytes);
        expect(Object.entries(read.metadata)).toEqual(Object.entries(metadata));
        expect(read.tensors.size).toBe(tensors.length);
        for (const { name, dtype: type, shape, data } of tensors) {
          const tensor = read.tensors.get(name)!;
          expect(tensor).toEqual({ dtype: type, shape, data });
          expect(tensor.data.byteOffset % bytesPerElement[type], 'alignment').toBe(0);
        }
      }),
    );
  });

  test('decoding does not depend on where the bytes begin', () => {
    fc.assert(
      fc.property(tensorBytes, fc.nat({ max: 7 }), ({ dtype: type, shape, data }, shift) => {
        const moved = new Uint8Array(data.length + shift);
        moved.set(data, shift);
        // a Buffer too: its slice() is a view
        for (const view of [moved.subarray(shift), Buffer.from(moved.buffer).subarray(shift)])
          expect(decodeFloat32({ dtype: type, shape, data: view })).toEqual(
            decodeFloat32({ dtype: type, shape, data: data.slice() }),
          );
      }),
    );
  });

  test('the order of storage is the original writer’s: wide types first, then names', () => {
    const one = (name: string, type: StoredDType) => ({
      name,
      dtype: type,
      shape: [1],
      data: new Uint8Array(bytesPerElement[type]),
    });
    const bytes = encodeSafetensors([
      one('z', 'BOOL'),
      one('b', 'F32'),
      one('a', 'F32'),
      one('i', 'I32'),
      one('f', 'F16'),
      one('l', 'I64'),
    ]);
    const { tensors } = readSafetensors(bytes);
    expect([...tensors.keys()]).toEqual(['l', 'a', 'b', 'i', 'f', 'z']);
    expect(headerLength(bytes, bytes.length) % 8).toBe(0);
  });
});

describe('values', () => {
  const stored = (type: StoredDType, values: ArrayBufferView<ArrayBuffer>) => {
    const data = new Uint8Array(values.buffer);
    return { dtype: type, shape: [data.length / bytesPerElement[type]], data };
  };

  test('as float32', () => {
    expect([...decodeFloat32(stored('F64', Float64Array.of(0.1, 1e300)))]).toEqual([
      Math.fround(0.1),
      Number.POSITIVE_INFINITY,
    ]);
    expect([...decodeFloat32(stored('F16', Uint16Array.of(0x3c00, 0x8001)))]).toEqual([1, -(2 ** -24)]);
    expect([...decodeFloat32(stored('BF16', Uint16Array.of(0x3f80, 0xc2f7)))]).toEqual([1, -123.5]);
    expect([...decodeFloat32(stored('F8_E4M3', Uint8Array.of(0x38, 0x7e)))]).toEqual([1, 448]);
    expect([...decodeFloat32(stored('F8_E5M2', Uint8Array.of(0x3c, 0x7b)))]).toEqual([1, 57344]);
    expect([...decodeFloat32(stored('I64', BigInt64Array.of(-3n, 2n ** 40n)))]).toEqual([-3, 2 ** 40]);
    expect([...decodeFloat32(stored('I8', Int8Array.of(-128)))]).toEqual([-128]);
    expect([...decodeFloat32(stored('BOOL', Uint8Array.of(0, 1)))]).toEqual([0, 1]);
  });

  test('decoded float32 values have memory of their own', () => {
    const tensor = stored('F32', Float32Array.of(1, 2));
    decodeFloat32(tensor)[0] = 9;
    expect([...decodeFloat32(tensor)]).toEqual([1, 2]);
  });

  test('integers keep all bits, or are refused', () => {
    expect(decodeIntegers(stored('I32', Int32Array.of(16_777_217, -(2 ** 31))))).toEqual([16_777_217, -(2 ** 31)]);
    expect(decodeIntegers(stored('U32', Uint32Array.of(4_294_967_295)))).toEqual([4_294_967_295]);
    expect(decodeIntegers(stored('U16', Uint16Array.of(65535)))).toEqual([65535]);
    expect(decodeIntegers(stored('I64', BigInt64Array.of(2n ** 53n - 1n)))).toEqual([2 ** 53 - 1]);
    expect(() => decodeIntegers(stored('I64', BigInt64Array.of(2n ** 53n + 1n)))).toThrow(
      /below 2\^53, got 9007199254740993; try decodeBigIntegers/,
    );
    expect(decodeBigIntegers(stored('I64', BigInt64Array.of(2n ** 53n + 1n)))).toEqual(
      BigInt64Array.of(2n ** 53n + 1n),
    );
    expect(decodeBigIntegers(stored('I16', Int16Array.of(-5)))).toEqual(BigInt64Array.of(-5n));
    expect(() => decodeBigIntegers(stored('U64', BigUint64Array.of(2n ** 63n)))).toThrow(
      /below 2\^63, got 9223372036854775808/,
    );
    for (const type of ['F32', 'BF16'] as const)
      expect(() => decodeIntegers({ dtype: type, shape: [0], data: new Uint8Array(0) })).toThrow(
        /an integer type, got .*; try decodeFloat32/,
      );
  });

  test('float32 values are rounded to the narrow type asked for', () => {
    const data = Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 65520);
    expect(new Uint16Array(encodeTensor({ name: 'w', dtype: 'F16', shape: [3], data }).buffer)).toEqual(
      Uint16Array.of(0x3c00, 0x3c02, 0x7c00),
    );
    const wide = Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8);
    expect(new Uint16Array(encodeTensor({ name: 'w', dtype: 'BF16', shape: [2], data: wide }).buffer)).toEqual(
      Uint16Array.of(0x3f80, 0x3f82),
    );
  });

  test('tensors that cannot be stored', () => {
    const tensor = { name: 'w', dtype: 'F32' as const, shape: [2], data: new Float32Array(2) };
    expect(() => encodeSafetensors([{ ...tensor, shape: [3] }])).toThrow(/w F32\[3\]: expected 3 values, got 2/);
    expect(() => encodeSafetensors([{ ...tensor, data: new Uint8Array(2) }])).toThrow(
      /w F32\[2\]: expected 8 bytes, got 2/,
    );
    expect(() => encodeSafetensors([{ ...tensor, data: new Int32Array(2) }])).toThrow(
      /w F32: expected values of that type, got Int32Array/,
    );
    expect(() => encodeSafetensors([tensor, tensor])).toThrow(/names that are used once, got two tensors named w/);
    expect(() => encodeSafetensors([{ ...tensor, name: '__metadata__' }])).toThrow(/named __metadata__/);
  });
});

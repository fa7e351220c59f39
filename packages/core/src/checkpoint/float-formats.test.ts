import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bfloatToNumber,
  float8ToNumber,
  float8WideToNumber,
  halfToNumber,
  numberToBfloat,
  numberToHalf,
} from './float-formats.ts';

const formats = [
  { name: 'F16', encode: numberToHalf, decode: halfToNumber, infinity: 0x7c00 },
  { name: 'BF16', encode: numberToBfloat, decode: bfloatToNumber, infinity: 0x7f80 },
];

// bit patterns from the definitions of the formats (IEEE 754 binary16, bfloat16, OCP 8-bit floats)
test.each([
  [0x3c00, 1],
  [0xc000, -2],
  [0x7bff, 65504],
  [0x0400, 2 ** -14],
  [0x03ff, 1023 * 2 ** -24],
  [0x0001, 2 ** -24],
  [0x3555, 0.333251953125],
  [0xfc00, Number.NEGATIVE_INFINITY],
])('half %i is %d', (bits, value) => {
  expect(halfToNumber(bits)).toBe(value);
  expect(numberToHalf(value)).toBe(bits);
});

test.each([
  [0x3f80, 1],
  [0xc2f7, -123.5],
  [0x4049, 3.140625],
  [0x0080, 2 ** -126],
  [0x0001, 2 ** -133],
  [0x7f7f, 255 * 2 ** 120],
])('bfloat %i is %d', (bits, value) => {
  expect(bfloatToNumber(bits)).toBe(value);
  expect(numberToBfloat(value)).toBe(bits);
});

test('8-bit floats', () => {
  expect([0x00, 0x01, 0x07, 0x08, 0x38, 0x7e, 0xb8].map(float8ToNumber)).toEqual([
    0,
    2 ** -9,
    7 * 2 ** -9,
    2 ** -6,
    1,
    448,
    -1,
  ]);
  expect([float8ToNumber(0x7f), float8ToNumber(0xff)]).toEqual([Number.NaN, Number.NaN]);
  expect([0x01, 0x3c, 0x7b, 0xbc].map(float8WideToNumber)).toEqual([2 ** -16, 1, 57344, -1]);
  expect(float8WideToNumber(0x7c)).toBe(Number.POSITIVE_INFINITY);
  expect(float8WideToNumber(0x7d)).toBeNaN();
});

test.each([
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [1 + 2 ** -11 + 2 ** -20, 0x3c01],
  [2 ** -25, 0x0000],
  [3 * 2 ** -25, 0x0002],
  [2 ** -25 + 2 ** -40, 0x0001],
  [65519, 0x7bff],
  [65520, 0x7c00],
])('half: %d rounds to nearest, ties to even', (value, bits) => {
  expect(numberToHalf(value)).toBe(bits);
  expect(numberToHalf(-value)).toBe(bits | 0x8000);
});

describe.each(formats)('$name', ({ encode, decode, infinity }) => {
  test('every bit pattern survives', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = decode(bits);
      const back = encode(value);
      if (Number.isNaN(value) ? !Number.isNaN(decode(back)) : back !== bits)
        expect.fail(`${bits} -> ${value} -> ${back}`);
    }
  });

  test('rounds to the nearest value there is, to the even one of two', () => {
    // the positive patterns are in order of value, so neighbours are found by search
    fc.assert(
      fc.property(fc.float({ min: 0, noNaN: true }), (value) => {
        let [low, high] = [0, infinity];
        while (high - low > 1) {
          const middle = (low + high) >> 1;
          if (decode(middle) <= value) low = middle;
          else high = middle;
        }
        // the place of infinity is one step behind the largest value
        const above = high === infinity ? 2 * decode(high - 1) - decode(high - 2) : decode(high);
        const [down, up] = [value - decode(low), above - value];
        const nearest = value >= above ? infinity : down < up || (down === up && low % 2 === 0) ? low : high;
        expect(encode(value)).toBe(nearest);
      }),
      { numRuns: 3000 },
    );
  });

  test('every tie goes to the even one', () => {
    for (let low = 0; low < infinity - 1; low++) {
      // exact in float32: one bit more than the format
      const middle = decode(low) + (decode(low + 1) - decode(low)) / 2;
      const even = low % 2 === 0 ? low : low + 1;
      if (encode(middle) !== even) expect.fail(`between ${low} and ${low + 1}: ${encode(middle)}`);
    }
  });

  test('not a number stays so, with its sign', () => {
    expect(decode(encode(Number.NaN))).toBeNaN();
    expect(encode(-0)).toBe(0x8000);
  });
});

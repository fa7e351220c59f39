import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeFloat32, decodeIntegers, readSafetensors, type StoredTensor } from '@unif2ace/core';
import { expect } from 'vitest';

/** Folder of the golden tensors; UNIF2ACE_FIXTURES names another one of the same form. */
const folder = process.env.UNIF2ACE_FIXTURES ?? join(import.meta.dirname, '..', 'fixtures');

export interface Fixture<Json> {
  json: Json;
  has(name: string): boolean;
  names(prefix: string): string[];
  shape(name: string): number[];
  f32(name: string): Float32Array;
  ints(name: string): number[];
  /** All tensors below `weights.`, names without it. */
  weights(): Map<string, Float32Array>;
}

/** Reads NAME.json and the tensors of `tensorsFrom` (default: NAME.safetensors). */
export function loadFixture<Json = unknown>(name: string, tensorsFrom = name): Fixture<Json> {
  const path = join(folder, `${tensorsFrom}.safetensors`);
  const tensors = existsSync(path) ? readSafetensors(readFileSync(path)).tensors : new Map<string, StoredTensor>();
  const get = (key: string): StoredTensor => {
    const tensor = tensors.get(key);
    if (!tensor) throw new Error(`fixture ${tensorsFrom} has no tensor ${key}`);
    return tensor;
  };
  const names = (prefix: string) => [...tensors.keys()].filter((key) => key.startsWith(prefix));
  return {
    json: JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as Json,
    has: (key) => tensors.has(key),
    names,
    shape: (key) => [...get(key).shape],
    f32: (key) => decodeFloat32(get(key)),
    ints: (key) => decodeIntegers(get(key)),
    weights: () => new Map(names('weights.').map((key) => [key.slice('weights.'.length), decodeFloat32(get(key))])),
  };
}

export interface Tolerance {
  atol?: number;
  rtol?: number;
}

/** Index of the element with the largest excess of |actual − expected| over what is allowed, or of the first NaN; -1 when all pass. */
function worstElement(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  allowed: (expected: number) => number,
): number {
  let [worst, worstExcess] = [-1, 0];
  for (let i = 0; i < expected.length; i++) {
    const [got, want] = [actual[i]!, expected[i]!];
    // equal infinities have no difference
    if (Object.is(got, want) || got === want) continue;
    const excess = Math.abs(got - want) - allowed(want);
    if (Number.isNaN(excess)) return i;
    if (excess > worstExcess) [worst, worstExcess] = [i, excess];
  }
  return worst;
}

function failAt(
  i: number,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  allowed: number,
  label: string,
): never {
  const [got, want] = [actual[i]!, expected[i]!];
  expect.fail(`${label}[${i}]: expected ${want}, got ${got} (off by ${Math.abs(got - want)}, allowed ${allowed})`);
}

/** |actual − expected| ≤ atol + rtol·|expected| for every element; the message names the worst. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { atol = 0, rtol = 0 }: Tolerance,
  label: string,
): void {
  expect(actual.length, `${label}: number of values`).toBe(expected.length);
  const allowed = (want: number) => atol + rtol * Math.abs(want);
  const worst = worstElement(actual, expected, allowed);
  if (worst >= 0) failAt(worst, actual, expected, allowed(expected[worst]!), label);
}

/** max|actual − expected| ≤ 1e-3 · max(max|expected|, floor): the rule stated in the fixtures for gradients. */
export function expectGradClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  floor: number,
  label: string,
): void {
  expect(actual.length, `${label}: number of values`).toBe(expected.length);
  let largest = floor;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, Math.abs(expected[i]!));
  const allowed = 1e-3 * largest;
  const worst = worstElement(actual, expected, () => allowed);
  if (worst >= 0) failAt(worst, actual, expected, allowed, label);
}

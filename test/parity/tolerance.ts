import type { Tolerance } from './fixture.ts';

/** The `tolerance` object of a fixture: keys are patterns ("outputs.*", several with commas), values limits or prose. */
export type Tolerances = Record<string, unknown>;

function matches(pattern: string, key: string): boolean {
  const [head = '', ...tail] = pattern.split('*');
  if (tail.length === 0) return pattern === key;
  return key.startsWith(head) && key.endsWith(tail.at(-1)!);
}

function isLimit(limit: unknown): limit is Tolerance {
  return typeof limit === 'object' && limit !== null && ('atol' in limit || 'rtol' in limit);
}

/**
 * The limit of one tensor: that of the longest pattern that fits, so that a named tensor beats "outputs.*".
 * @throws Error when no numeric limit fits.
 */
export function toleranceOf(tolerances: Tolerances, key: string): Tolerance {
  let [best, length] = [null as Tolerance | null, -1];
  for (const [patterns, limit] of Object.entries(tolerances)) {
    if (!isLimit(limit)) continue;
    for (const pattern of patterns.split(',').map((part) => part.trim()))
      if (matches(pattern, key) && pattern.length > length) [best, length] = [limit, pattern.length];
  }
  if (!best) throw new Error(`toleranceOf: no numeric limit for ${key} among ${Object.keys(tolerances).join('; ')}`);
  return best;
}

/**
 * The smallest gradient scale in the rule "max|diff| <= 1e-3 * max(max|grad of that tensor|, FLOOR)", where FLOOR is a
 * number or a number times `global_max`.
 * @throws Error when the rule reads otherwise, since `expectGradClose` would then check something else.
 */
export function gradientFloor(tolerances: Tolerances): number {
  const rule = String(tolerances['grads.*']);
  const found = /^max\|diff\| <= 1e-3 \* max\(max\|grad of that tensor\|, ([\d.e+-]+)( \* global_max)?\)$/.exec(rule);
  const scale = found?.[2] === undefined ? 1 : tolerances.global_max;
  const floor = Number(found?.[1]) * Number(scale);
  if (!(floor > 0)) throw new Error(`gradientFloor: expected the rule with a positive floor, got "${rule}"`);
  return floor;
}

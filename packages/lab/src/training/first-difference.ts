/**
 * Where two JSON values first differ: the path, and both values in short. Arrays of [name, …] pairs are compared by
 * name, so that a tensor that was added does not shift all that follow.
 */
export function firstDifference(
  expected: unknown,
  got: unknown,
  path = '',
): { path: string; expected: string; got: string } | undefined {
  const show = (value: unknown) => {
    const text = value === undefined ? 'nothing' : JSON.stringify(value);
    return text.length > 60 ? `${text.slice(0, 57)}…` : text;
  };
  if (Object.is(expected, got)) return undefined;
  if (!isObject(expected) || !isObject(got)) return { path, expected: show(expected), got: show(got) };
  const [left, right] = [byName(expected), byName(got)];
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const found = firstDifference(left[key], right[key], path ? `${path}.${key}` : key);
    if (found) return found;
  }
  return undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function byName(value: object): Record<string, unknown> {
  const named = Array.isArray(value) && value.every((item) => Array.isArray(item) && typeof item[0] === 'string');
  return (named ? Object.fromEntries(value.map(([name, ...rest]) => [name, rest])) : value) as Record<string, unknown>;
}

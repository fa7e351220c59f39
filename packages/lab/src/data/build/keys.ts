import { createHash } from 'node:crypto';

/**
 * Key of a stage's result: it changes with the stage's version, its settings and all its inputs, and with nothing else.
 * 40 hex digits.
 */
export function stageKey(stage: string, version: string, ...inputs: readonly unknown[]): string {
  const hash = createHash('sha256');
  for (const part of [stage, version, ...inputs]) {
    const bytes = part instanceof Uint8Array ? part : Buffer.from(canonicalJson(part));
    // the length in front keeps neighbouring parts apart
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest('hex').slice(0, 40);
}

export function contentHash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** JSON with the fields of every object in order of their names. */
export function canonicalJson(value: unknown): string {
  return (
    JSON.stringify(value, (_, inner: unknown) =>
      inner !== null && typeof inner === 'object' && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
        : inner,
    ) ?? 'null'
  );
}

/** Wilson's score interval of a share, 95 % by default (Wilson 1927). @throws RangeError for no trials. */
export function wilsonInterval(hits: number, trials: number, z = 1.959963984540054): { low: number; high: number } {
  if (!(trials > 0) || hits < 0 || hits > trials)
    throw new RangeError(`wilsonInterval: expected 0 to n hits of n > 0 trials, got ${hits} of ${trials}`);
  const share = hits / trials;
  const z2 = z * z;
  const centre = (share + z2 / (2 * trials)) / (1 + z2 / trials);
  const half = (z * Math.sqrt((share * (1 - share)) / trials + z2 / (4 * trials * trials))) / (1 + z2 / trials);
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/** Value below which the given share of the numbers lies, between neighbours in proportion. @throws RangeError for none. */
export function quantile(values: ArrayLike<number>, share: number): number {
  if (values.length === 0) throw new RangeError('quantile: expected at least one number, got none');
  const sorted = Float64Array.from(values).sort();
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low]! + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)]! - sorted[low]!);
}

/**
 * Area under the ROC curve: the chance that a positive scores above a negative, ties counting one half (Mann-Whitney).
 * NaN when there are no positives or no negatives.
 */
export function areaUnderRoc(scores: ArrayLike<number>, positives: readonly boolean[]): number {
  const order = Array.from(positives.keys()).sort((a, b) => scores[a]! - scores[b]!);
  let rankSum = 0;
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && scores[order[end]!] === scores[order[start]!]) end++;
    // equal scores share the mean of their ranks, which begin at 1
    for (let i = start; i < end; i++) if (positives[order[i]!]) rankSum += (start + end + 1) / 2;
    start = end;
  }
  const count = positives.filter(Boolean).length;
  const others = positives.length - count;
  return (rankSum - (count * (count + 1)) / 2) / (count * others);
}

/**
 * Mean of the shares of positives and of negatives told right, when a score from the threshold on says yes. NaN when there
 * are no positives or no negatives.
 */
export function balancedAccuracy(scores: ArrayLike<number>, positives: readonly boolean[], threshold: number): number {
  const [sensitivity, specificity] = [true, false].map((side) => {
    const members = Array.from(positives.keys()).filter((i) => positives[i] === side);
    return members.filter((i) => scores[i]! >= threshold === side).length / members.length;
  }) as [number, number];
  return (sensitivity + specificity) / 2;
}

/** Expected calibration error: |share of positives − mean probability| over equal-width bins, weighted by their size. */
export function calibrationError(probabilities: ArrayLike<number>, positives: readonly boolean[], bins = 10): number {
  const sums = Array.from({ length: bins }, () => ({ probability: 0, positives: 0 }));
  positives.forEach((positive, i) => {
    const bin = sums[Math.min(bins - 1, Math.floor(probabilities[i]! * bins))]!;
    bin.probability += probabilities[i]!;
    bin.positives += Number(positive);
  });
  return sums.reduce((sum, bin) => sum + Math.abs(bin.positives - bin.probability), 0) / positives.length;
}

/**
 * Platt's scaling: slope and offset such that sigmoid(slope·logit + offset) is the probability that fits best, by
 * Newton's method on the log-likelihood with his smoothed targets (Platt 1999; Lin, Lin & Weng 2007).
 */
export function plattScaling(
  logits: ArrayLike<number>,
  positives: readonly boolean[],
): { slope: number; offset: number } {
  const count = positives.filter(Boolean).length;
  const high = (count + 1) / (count + 2);
  const low = 1 / (positives.length - count + 2);
  const target = (positive: boolean) => (positive ? high : low);
  // softplus(z) − t·z, without overflow
  const loss = (slope: number, offset: number) =>
    positives.reduce((sum, positive, i) => {
      const z = slope * logits[i]! + offset;
      return sum + Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - target(positive) * z;
    }, 0);
  let [slope, offset] = [0, Math.log((count + 1) / (positives.length - count + 1))];
  let current = loss(slope, offset);
  for (let round = 0; round < 100; round++) {
    let [ga, gb, haa, hab, hbb] = [0, 0, 1e-9, 0, 1e-9];
    positives.forEach((positive, i) => {
      const x = logits[i]!;
      const p = 1 / (1 + Math.exp(-(slope * x + offset)));
      const [error, curvature] = [p - target(positive), p * (1 - p)];
      ga += error * x;
      gb += error;
      haa += curvature * x * x;
      hab += curvature * x;
      hbb += curvature;
    });
    const determinant = haa * hbb - hab * hab;
    const [da, db] = [(hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant];
    // a full step can overshoot: halve it until the loss falls
    let share = 1;
    let next = loss(slope - da, offset - db);
    while (next > current && share > 1e-10) {
      share /= 2;
      next = loss(slope - share * da, offset - share * db);
    }
    slope -= share * da;
    offset -= share * db;
    const gained = current - next;
    current = next;
    if (gained < 1e-9) break;
  }
  return { slope, offset };
}

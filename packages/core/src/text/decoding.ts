/** How the next text token is chosen. */
export interface DecodingOptions {
  /** 0 is greedy. Default 1. */
  temperature?: number;
  /** Keep the k most probable (ties of the k-th stay). Default: all. */
  topK?: number;
  /** Keep the smallest set with at least this probability. Default 1: all. */
  topP?: number;
}

/** Probabilities after temperature, top-k and top-p; 0 for what is cut. @throws RangeError on options out of range. */
export function textProbabilities(logits: ArrayLike<number>, options: DecodingOptions = {}): Float64Array {
  const { temperature = 1, topK = 0, topP = 1 } = options;
  if (!(temperature > 0))
    throw new RangeError(
      `textProbabilities: temperature ${temperature}; expected above 0 (0 is greedy: use chooseToken)`,
    );
  if (!(topP > 0 && topP <= 1)) throw new RangeError(`textProbabilities: topP ${topP}; expected above 0 and at most 1`);
  const scaled = Float64Array.from(logits, (x) => x / temperature);
  if (topK > 0 && topK < scaled.length) {
    const cut = scaled.slice().sort()[scaled.length - topK]!;
    for (let i = 0; i < scaled.length; i++) if (scaled[i]! < cut) scaled[i] = Number.NEGATIVE_INFINITY;
  }
  const max = scaled.reduce((m, x) => Math.max(m, x), Number.NEGATIVE_INFINITY);
  const p = scaled.map((x) => Math.exp(x - max));
  const sum = p.reduce((a, b) => a + b, 0);
  for (let i = 0; i < p.length; i++) p[i] = p[i]! / sum;
  return topP < 1 ? nucleus(p, topP) : p;
}

function nucleus(p: Float64Array, topP: number): Float64Array {
  const order = Array.from(p.keys()).sort((a, b) => p[b]! - p[a]! || a - b);
  const kept = new Float64Array(p.length);
  let total = 0;
  for (const i of order) {
    if (total >= topP) break;
    kept[i] = p[i]!;
    total += p[i]!;
  }
  return kept.map((x) => x / total);
}

/** The most probable token (the first of equals), or a draw by `uniform` in [0, 1). */
export function chooseToken(logits: ArrayLike<number>, options: DecodingOptions, uniform: () => number): number {
  if (options.temperature === 0 || options.topK === 1) {
    let best = 0;
    for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
    return best;
  }
  const p = textProbabilities(logits, options);
  const u = uniform();
  let cumulative = 0;
  let last = 0;
  for (let i = 0; i < p.length; i++) {
    if (p[i] === 0) continue;
    last = i;
    cumulative += p[i]!;
    if (cumulative > u) return i;
  }
  return last;
}

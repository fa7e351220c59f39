/** How the next text token is chosen. */
export interface DecodingOptions {
  /** 0 is greedy. Default 1. */
  temperature?: number;
  /** Keep the k most probable (ties of the k-th stay, as in Show-o); 1 is greedy, 0 keeps all. Default 0. */
  topK?: number;
  /** Keep the smallest set with at least this probability, above 0 to 1. Default 1: all. */
  topP?: number;
}

/** The largest logit. @throws RangeError unless it is a finite number and none is NaN. */
function largest(logits: ArrayLike<number>, what: string): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) {
    const x = logits[i]!;
    if (Number.isNaN(x))
      throw new RangeError(`${what}: logit ${i} of ${logits.length} is NaN; expected a number; try other weights`);
    if (x > max) max = x;
  }
  if (!Number.isFinite(max))
    throw new RangeError(
      `${what}: largest of ${logits.length} logits is ${max}; expected a finite number; allow a token`,
    );
  return max;
}

/** Probabilities [V] after temperature, top-k and top-p; 0 for what is cut. @throws RangeError on logits or options out of range. */
export function textProbabilities(logits: ArrayLike<number>, options: DecodingOptions = {}): Float64Array {
  const { temperature = 1, topK = 0, topP = 1 } = options;
  if (!(temperature > 0))
    throw new RangeError(
      `textProbabilities: temperature ${temperature}; expected above 0 (0 is greedy: use chooseToken)`,
    );
  if (!(Number.isInteger(topK) && topK >= 0))
    throw new RangeError(`textProbabilities: topK ${topK}; expected a whole number, 0 to keep all`);
  if (!(topP > 0 && topP <= 1)) throw new RangeError(`textProbabilities: topP ${topP}; expected above 0 and at most 1`);
  const max = largest(logits, 'textProbabilities');
  const values = Float64Array.from(logits);
  const cut =
    topK > 0 && topK < values.length ? values.slice().sort()[values.length - topK]! : Number.NEGATIVE_INFINITY;
  // the maximum goes first: a tiny temperature must not overflow
  const p = values.map((x) => (x < cut ? 0 : Math.exp((x - max) / temperature)));
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

/**
 * The most probable token (the first of equals) where temperature is 0 or topK 1, else a draw by `uniform` in [0, 1).
 * @throws RangeError on logits or options out of range.
 */
export function chooseToken(logits: ArrayLike<number>, options: DecodingOptions, uniform: () => number): number {
  if (options.temperature === 0 || options.topK === 1) {
    const max = largest(logits, 'chooseToken');
    return Array.prototype.indexOf.call(logits, max);
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

/**
 * Logits [V] with those of `tokens` made less likely: divided by `penalty` where positive, multiplied where negative
 * (CTRL, arXiv 1909.05858 §4.1). 1 changes nothing. @throws RangeError when not above 0.
 */
export function penalizeRepetition(logits: ArrayLike<number>, tokens: Iterable<number>, penalty: number): Float64Array {
  if (!(penalty > 0 && Number.isFinite(penalty)))
    throw new RangeError(`penalizeRepetition: penalty ${penalty}; expected a number above 0, 1 for none`);
  const out = Float64Array.from(logits);
  for (const token of new Set(tokens)) out[token] = out[token]! > 0 ? out[token]! / penalty : out[token]! * penalty;
  return out;
}

/** A model that reads behind a key-value cache. */
export interface TextModel {
  /** Reads the prompt. Returns the logits [V] of the first new token. */
  prefill(): Promise<ArrayLike<number>>;
  /** Reads one more token. Returns the logits [V] of the next. */
  step(token: number): Promise<ArrayLike<number>>;
}

export interface TextOptions extends DecodingOptions {
  /** At most this many new tokens, each a step of the model. From 1. */
  maxTokens: number;
  /** Random numbers in [0, 1), one for each token; not called when greedy. */
  uniform: () => number;
  /** Tokens that end the text; not part of it. Default none. */
  stopIds?: readonly number[];
  /** Only these and `stopIds` may be chosen, so that no image code becomes text. Default: the whole vocabulary, as Show-o. */
  allowedIds?: readonly number[];
  /** Above 1 makes what was already written less likely; 1.1 to 1.3 is usual. Default 1: off. */
  repetitionPenalty?: number;
  /** Stops with the signal's reason before the next token. */
  signal?: AbortSignal;
}

export interface TextResult {
  tokens: number[];
  /** Why it ended: a stop token, or maxTokens. */
  finish: 'stop' | 'length';
}

/**
 * Writes token by token: yields each as it is chosen, returns them all. The last token is not read back into the model.
 * @throws RangeError on options out of range, the reason of an aborted signal.
 */
export async function* generateText(model: TextModel, options: TextOptions): AsyncGenerator<number, TextResult> {
  const { maxTokens, uniform, stopIds = [], allowedIds, repetitionPenalty = 1, signal } = options;
  if (!(Number.isInteger(maxTokens) && maxTokens >= 1))
    throw new RangeError(`generateText: maxTokens ${maxTokens}; expected a whole number from 1`);
  const stops = new Set(stopIds);
  const allowed = allowedIds && new Set([...allowedIds, ...stopIds]);
  const tokens: number[] = [];
  signal?.throwIfAborted();
  let logits = await model.prefill();
  for (;;) {
    signal?.throwIfAborted();
    const penalized = repetitionPenalty === 1 ? logits : penalizeRepetition(logits, tokens, repetitionPenalty);
    const token = chooseToken(allowed ? only(penalized, allowed) : penalized, options, uniform);
    if (stops.has(token)) return { tokens, finish: 'stop' };
    tokens.push(token);
    yield token;
    if (tokens.length === maxTokens) return { tokens, finish: 'length' };
    signal?.throwIfAborted();
    logits = await model.step(token);
  }
}

/** Logits [V] of the allowed tokens, the others hidden. @throws RangeError for one outside the vocabulary. */
function only(logits: ArrayLike<number>, allowed: ReadonlySet<number>): Float64Array {
  const out = new Float64Array(logits.length).fill(Number.NEGATIVE_INFINITY);
  for (const token of allowed) {
    const logit = logits[token];
    if (logit === undefined)
      throw new RangeError(`generateText: allowed token ${token}; expected 0 to ${logits.length - 1}`);
    out[token] = logit;
  }
  return out;
}

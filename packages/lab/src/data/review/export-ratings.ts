import { alphaOf, type Coincidences, coincidences, mergeCoincidences, type Scale } from './agreement.ts';
import { bootstrap, type Interval } from './bootstrap.ts';
import type { Rating } from './rating.ts';

export interface Agreement {
  scale: Scale;
  /** Krippendorff's; null where it is not defined. */
  alpha: number | null;
  /** 95 %, over items. */
  interval: Interval | null;
}

export interface QuestionSummary {
  question: 'accuracy' | 'hallucination' | 'missing';
  /** Over items, of each item's mean: accuracy from 1 to 5, share of "yes", number of attribute types missing. */
  mean: number | null;
  interval: Interval | null;
  agreement: Agreement[];
}

export interface ItemSummary {
  item: string;
  caption: string;
  raters: number;
  accuracyMean: number;
  hallucinationShare: number;
  /** Raters who marked each sentence, in the order of the caption. */
  sentencesMarked: Record<number, number>;
  missingMean: number;
  /** Raters who missed each attribute type. */
  missing: Record<string, number>;
}

export interface RatingsExport {
  version: 1;
  raters: string[];
  questions: QuestionSummary[];
  items: ItemSummary[];
  ratings: Rating[];
}

export interface ExportRatingsOptions {
  /** Of the resampling. */
  seed: number;
  /** Attribute types that could be chosen as missing: one not chosen counts as "not missing". */
  types: readonly string[];
  /** Default 1000. */
  resamples?: number;
}

/**
 * Ratings with means per item and agreement per question. Agreement on what is missing is over pairs of item and attribute
 * type, each chosen or not; resampling draws items, with all that belongs to them.
 */
export function exportRatings(
  ratings: readonly Rating[],
  { seed, types, resamples = 1000 }: ExportRatingsOptions,
): RatingsExport {
  const byItem = new Map<string, Rating[]>();
  for (const rating of ratings) byItem.set(rating.item, [...(byItem.get(rating.item) ?? []), rating]);
  const groups = [...byItem.values()];

  const agreement = (scale: Scale, unitsOf: (group: readonly Rating[]) => Coincidences): Agreement => {
    const units = groups.map(unitsOf);
    const interval = bootstrap(units, (sample) => alphaOf(sample, scale), { seed, resamples });
    return { scale, alpha: alphaOf(units, scale), interval };
  };
  const summary = (
    question: QuestionSummary['question'],
    figureOf: (rating: Rating) => number,
    agreements: Agreement[],
  ): QuestionSummary => {
    const means = groups.map((group) => meanOf(group.map(figureOf)));
    const interval = bootstrap(means, meanOf, { seed, resamples });
    return { question, mean: means.length === 0 ? null : meanOf(means), interval, agreement: agreements };
  };

  const accuracy = (group: readonly Rating[]) => coincidences(group.map((rating) => rating.accuracy));
  const hallucination = (group: readonly Rating[]) => coincidences(group.map((rating) => Number(rating.hallucination)));
  const missing = (group: readonly Rating[]) =>
    mergeCoincidences(types.map((type) => coincidences(group.map((rating) => Number(rating.missing.includes(type))))));
  return {
    version: 1,
    raters: [...new Set(ratings.map(({ rater }) => rater))].sort(),
    questions: [
      summary('accuracy', (rating) => rating.accuracy, [
        agreement('ordinal', accuracy),
        agreement('interval', accuracy),
      ]),
      summary('hallucination', (rating) => Number(rating.hallucination), [agreement('nominal', hallucination)]),
      summary('missing', (rating) => rating.missing.length, [agreement('nominal', missing)]),
    ],
    items: groups.map(itemSummary),
    ratings: [...ratings],
  };
}

function itemSummary(group: readonly Rating[]): ItemSummary {
  const { item, caption } = group[0]!;
  return {
    item,
    caption,
    raters: group.length,
    accuracyMean: meanOf(group.map(({ accuracy }) => accuracy)),
    hallucinationShare: meanOf(group.map(({ hallucination }) => Number(hallucination))),
    sentencesMarked: countOf(group.flatMap(({ wrongSentences }) => wrongSentences)),
    missingMean: meanOf(group.map(({ missing }) => missing.length)),
    missing: countOf(group.flatMap(({ missing }) => missing)),
  };
}

/** One row per rating, with the means of its item. */
export function ratingsCsv({ ratings, items }: RatingsExport): string {
  const byItem = new Map(items.map((entry) => [entry.item, entry]));
  return csv(
    [
      ...['item', 'rater', 'accuracy', 'hallucination', 'wrong_sentences', 'missing', 'comment', 'seconds', 'time'],
      ...['item_raters', 'item_accuracy_mean', 'item_hallucination_share', 'item_missing_mean', 'caption'],
    ],
    ratings.map((rating) => {
      const { raters, accuracyMean, hallucinationShare, missingMean } = byItem.get(rating.item)!;
      return [
        ...[rating.item, rating.rater, rating.accuracy, rating.hallucination ? 'yes' : 'no'],
        ...[rating.wrongSentences.join(' '), rating.missing.join('; '), rating.comment, rating.seconds, rating.time],
        ...[raters, accuracyMean, hallucinationShare, missingMean, rating.caption],
      ];
    }),
  );
}

/** One row per question and scale. */
export function questionsCsv({ questions }: RatingsExport): string {
  return csv(
    ['question', 'mean', 'mean_low', 'mean_high', 'scale', 'alpha', 'alpha_low', 'alpha_high'],
    questions.flatMap(({ question, mean, interval, agreement }) =>
      agreement.map((entry) => [
        ...[question, mean, interval?.low ?? null, interval?.high ?? null],
        ...[entry.scale, entry.alpha, entry.interval?.low ?? null, entry.interval?.high ?? null],
      ]),
    ),
  );
}

/** RFC 4180. A text that a spreadsheet would run as a formula is preceded by an apostrophe. */
function csv(head: readonly string[], rows: readonly (readonly (string | number | null)[])[]): string {
  const cell = (value: string | number | null) => {
    if (typeof value === 'number') return `${value}`;
    const text = /^[=+\-@\t\r]/.test(value ?? '') ? `'${value}` : (value ?? '');
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${[head, ...rows].map((row) => row.map(cell).join(',')).join('\r\n')}\r\n`;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function countOf<K extends string | number>(values: readonly K[]): Record<K, number> {
  const counts = new Map<K, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return Object.fromEntries(counts) as Record<K, number>;
}

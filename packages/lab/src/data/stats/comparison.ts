import type { DatasetStats } from './dataset-stats.ts';

/** A row of the table in which the paper compares face–text data sets (figure 2). */
export interface ComparisonRow {
  name: string;
  images: number;
  tokensPerCaption: number;
  attributesPerCaption: number;
  questionsPerImage: number | null;
  /** Described here rather than quoted from the paper. */
  own: boolean;
}

const published: readonly [string, images: number, tokens: number, attributes: number, questions?: number][] = [
  ['LAION-Face', 50_000_000, 16, 2.7],
  ['FLIP-80M', 80_000_000, 22, 4.4],
  ['FFHQ-Text', 760, 45, 12.2],
  ['MM-CelebA-HQ', 30_000, 26, 6.2],
  ['CelebV-Text', 70_000, 80, 4.3],
  ['UniF²aceD', 130_000, 120, 17.7, 1_000_000 / 130_000],
];

/** Figures of other data sets as the paper states them, then those of this one. */
export function comparisonRows({ all, captions, questions }: DatasetStats, name: string): ComparisonRow[] {
  return [
    ...published.map(([other, images, tokens, attributes, perImage]) => ({
      name: other,
      images,
      tokensPerCaption: tokens,
      attributesPerCaption: attributes,
      questionsPerImage: perImage ?? null,
      own: false,
    })),
    {
      name,
      images: all.images,
      tokensPerCaption: captions.tokens.mean,
      attributesPerCaption: captions.attributes.mean,
      questionsPerImage: all.questions > 0 ? questions.perImage.mean : null,
      own: true,
    },
  ];
}

const units: readonly [number, string][] = [
  [1e6, 'M'],
  [1e3, 'K'],
];

/** 130000 → "130K", 1234567 → "1.2M", 760 → "760". */
export function shortCount(count: number): string {
  const [scale, unit] = units.find(([least]) => count >= least) ?? [1, ''];
  const scaled = count / scale;
  return `${scale > 1 && scaled < 100 ? Number(scaled.toFixed(1)) : Math.round(scaled)}${unit}`;
}

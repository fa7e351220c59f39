import { sumByType } from './attribute-wheel.ts';
import { comparisonRows, shortCount } from './comparison.ts';
import type { DatasetStats, PartStats } from './dataset-stats.ts';
import type { DistinctCount, Distribution } from './tally.ts';

const maxColumns = 100;
const shownTopics = 24;
const shownAnswers = 4;
const shownRejections = 20;

/** Tables for the terminal, at most 100 columns wide. */
export function statsText(stats: DatasetStats, name = 'this data set'): string {
  const { questions, rejections, facts } = stats;
  const topics = questions.topics.slice(0, shownTopics);
  const sections = [
    section(
      'Parts',
      ['source', 'split', 'images', 'identities', 'no identity', 'captions', 'questions'],
      partRows(stats).map(([source, split, part]) => [source, split, ...partCells(part)]),
      2,
    ),
    section(
      'Beside the data sets of the paper',
      ['data set', 'images', 'tokens/caption', 'attributes/caption', 'questions/image'],
      comparisonRows(stats, name).map((row) => [
        row.name,
        shortCount(row.images),
        fixed(row.tokensPerCaption),
        fixed(row.attributesPerCaption),
        row.questionsPerImage === null ? '–' : fixed(row.questionsPerImage),
      ]),
    ),
    section(
      'Texts',
      ['per', 'mean', 'min', '10 %', 'median', '90 %', 'max', 'of'],
      distributionRows(stats).map(([label, distribution]) => [label, ...distributionCells(distribution)]),
    ),
    `${many(stats.captions.distinct)} of ${whole(stats.all.captions)} captions are different`,
    section(
      'Known facts',
      ['from', 'facts', 'share'],
      shares([
        ['label', facts.fromLabel],
        ['classifier', facts.fromClassifier],
        ['not stated', facts.unstated],
      ]),
    ),
    section(
      'Attributes',
      ['group', 'type', 'facts known', 'present', 'statements in captions'],
      sumByType(stats.attributes).map(({ group, type, known, present, stated }) => [
        group,
        type,
        whole(known),
        whole(present),
        whole(stated),
      ]),
      2,
    ),
    section('Questions', ['kind', 'questions', 'share'], shares(Object.entries(questions.kinds))),
    section(
      topics.length < questions.topics.length
        ? `Answers by topic (${topics.length} of ${questions.topics.length})`
        : 'Answers by topic',
      ['topic', 'questions', 'answers'],
      topics.map(({ topic, questions: asked, answers }) => [
        topic,
        whole(asked),
        answers
          .slice(0, shownAnswers)
          .map(({ label, share }) => `${label} ${percent(share)}`)
          .join(', ') + (answers.length > shownAnswers ? ', …' : ''),
      ]),
      1,
      [2],
    ),
    section(
      'Not used',
      ['stage', 'count', 'reason'],
      rejections.slice(0, shownRejections).map(({ stage, reason, count }) => [stage, whole(count), reason]),
      1,
      [2],
    ),
  ];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

/** Every source and split, the splits of all sources, and the whole. */
export function partRows({
  all,
  bySplit,
  bySourceAndSplit,
}: DatasetStats): [source: string, split: string, part: PartStats][] {
  return [
    ...bySourceAndSplit.map(({ source, split, part }): [string, string, PartStats] => [source, split, part]),
    ...Object.entries(bySplit).map(([split, part]): [string, string, PartStats] => ['all', split, part]),
    ['all', 'all', all],
  ];
}

export function partCells(part: PartStats): string[] {
  return [
    whole(part.images),
    many(part.identities),
    whole(part.imagesWithoutIdentity),
    whole(part.captions),
    whole(part.questions),
  ];
}

export function distributionRows({ captions, prompts, facts, questions }: DatasetStats): [string, Distribution][] {
  return [
    ['caption: tokens', captions.tokens],
    ['caption: attributes stated', captions.attributes],
    ['caption: attributes stated as present', captions.presentAttributes],
    ['face: attributes known', facts.knownPerFace],
    ['face: captions', captions.perFace],
    ['face: prompts', prompts.perFace],
    ['prompt: tokens', prompts.tokens],
    ['image: questions', questions.perImage],
  ];
}

export function distributionCells(distribution: Distribution): string[] {
  const { count, mean, min, percentile10, median, percentile90, max } = distribution;
  return [fixed(mean), ...[min, percentile10, median, percentile90, max, count].map(whole)];
}

/** Name, count, share of the sum; nothing for a sum of 0. */
export function shares(counts: readonly (readonly [string, number])[]): string[][] {
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  return total === 0 ? [] : counts.map(([name, count]) => [name, whole(count), percent(count / total)]);
}

export function whole(value: number): string {
  return value.toLocaleString('en-US');
}

export function many({ count, exact }: DistinctCount): string {
  return exact ? whole(count) : `about ${shortCount(count)}`;
}

export function fixed(value: number): string {
  return value.toFixed(1);
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Wearing_Hat → Wearing Hat. */
export function spoken(name: string): string {
  return name.replaceAll('_', ' ');
}

/** A table under its title; the first `leftColumns` and those of `alsoLeft` start at the left, numbers end at the right. */
function section(
  title: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
  leftColumns = 1,
  alsoLeft: readonly number[] = [],
): string {
  if (rows.length === 0) return '';
  const cells = [head, ...rows].map((row) => row.map(printable));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  for (let over = widths.reduce((sum, width) => sum + width + 2, -2) - maxColumns; over > 0; ) {
    const widest = widths.indexOf(Math.max(...widths));
    const cut = Math.min(over, Math.max(1, widths[widest]! - 24));
    widths[widest]! -= cut;
    over -= cut;
  }
  const lines = cells.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column]!;
        const clipped = cell.length > width ? `${cell.slice(0, width - 1)}…` : cell;
        return column < leftColumns || alsoLeft.includes(column) ? clipped.padEnd(width) : clipped.padStart(width);
      })
      .join('  ')
      .trimEnd(),
  );
  const rule = widths.map((width) => '─'.repeat(width)).join('──');
  return [title, '', lines[0], rule, ...lines.slice(1)].join('\n');
}

/** A name from the data must not steer the terminal. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '�');
}

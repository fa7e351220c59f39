import { parseHTML } from 'linkedom';
import { beforeAll, describe, expect, test } from 'vitest';
import type { DatasetRecord } from '../build/types.ts';
import { ringPath, sumByType, wheelArcs } from './attribute-wheel.ts';
import { collectStats, countWordsAndMarks } from './collect-stats.ts';
import { comparisonRows, shortCount } from './comparison.ts';
import type { DatasetStats } from './dataset-stats.ts';
import { statsHtml } from './stats-html.ts';
import { statsText } from './stats-text.ts';
import { DistinctTally, NameTally, Tally } from './tally.ts';
import { exampleRecords } from './test/example-records.ts';

const record = (changes: Partial<DatasetRecord>): DatasetRecord => ({
  id: '0'.repeat(32),
  source: 'portraits',
  name: 'a.jpg',
  identity: null,
  split: 'train',
  ageYears: null,
  image: new Uint8Array(),
  width: 1,
  height: 1,
  box: { x: 0, y: 0, width: 1, height: 1 },
  landmarks: [],
  facts: {},
  factSources: {},
  captions: [],
  prompts: [],
  questions: [],
  ...changes,
});

describe('tallies', () => {
  test('distribution of known values, by nearest rank', () => {
    const tally = new Tally();
    for (const value of [3, 1, 2, 2, 10]) tally.add(value);
    expect(tally.distribution()).toEqual({
      count: 5,
      mean: 3.6,
      min: 1,
      percentile10: 1,
      median: 2,
      percentile90: 10,
      max: 10,
      histogram: [
        [1, 1],
        [2, 2],
        [3, 1],
        [10, 1],
      ],
      pooledFrom: 4096,
    });
  });

  test('large values are pooled, the mean stays exact', () => {
    const tally = new Tally(10);
    for (const value of [5, 1000, 3000]) tally.add(value);
    expect(tally.distribution()).toMatchObject({
      mean: 4005 / 3,
      max: 3000,
      histogram: [
        [5, 1],
        [10, 2],
      ],
    });
  });

  test('nothing counted', () => {
    expect(new Tally().distribution()).toMatchObject({ count: 0, mean: 0, min: 0, median: 0, max: 0, histogram: [] });
  });

  test('distinct texts: exact up to the limit, then within 5 standard errors', () => {
    const tally = new DistinctTally(1000);
    for (let i = 0; i < 1000; i++) for (let twice = 0; twice < 2; twice++) tally.add(`text ${i}`);
    expect(tally.count()).toEqual({ count: 1000, exact: true });
    for (let i = 0; i < 20_000; i++) tally.add(`text ${i}`);
    const { count, exact } = tally.count();
    expect(exact).toBe(false);
    expect(Math.abs(count / 20_000 - 1)).toBeLessThan(5 / Math.sqrt(1000));
  });

  test('names beyond the limit are pooled', () => {
    const tally = new NameTally(2);
    for (const name of ['a', 'b', 'c', 'd', 'b']) tally.add(name);
    expect(tally.entries()).toEqual([
      ['(other)', 2],
      ['b', 2],
      ['a', 1],
    ]);
  });

  test.each([
    ["She's smiling, isn't she?", 6],
    ["A five-o'clock shadow.", 4],
    ['', 0],
    ['Élan — 3 cats…', 5],
  ])('%j has %i words and marks', (text, count) => expect(countWordsAndMarks(text)).toBe(count));
});

describe('collectStats', () => {
  test('counts by hand', async () => {
    const stats = await collectStats(
      [
        record({
          source: 'celeba',
          identity: '7',
          facts: { Male: true, Smiling: false },
          factSources: { Male: { from: 'label', probability: 1 }, Smiling: { from: 'classifier', probability: 0.97 } },
          captions: ['A man who is not smiling.', 'He is a man.'],
          prompts: ['a man'],
          questions: [
            { kind: 'yes-no', topic: 'Smiling', question: 'Is he?', answer: 'No.', label: 'no', evidence: ['Smiling'] },
          ],
        }),
        record({ identity: '7', split: 'test', captions: ['A man who is not smiling.'] }),
        record({
          identity: '7',
          questions: [
            { kind: 'yes-no', topic: 'Smiling', question: 'Is he?', answer: 'No.', label: 'no', evidence: ['Smiling'] },
            {
              kind: 'yes-no',
              topic: 'Smiling',
              question: 'Is he?',
              answer: 'Yes.',
              label: 'yes',
              evidence: ['Smiling'],
            },
          ],
        }),
      ],
      {
        rejections: [
          { source: 's', name: 'a', stage: 'detect', reason: 'expected 64 px, got 12' },
          { source: 's', name: 'b', stage: 'detect', reason: 'expected 64 px, got 7.5' },
          { source: 's', name: 'c', stage: 'ingest', reason: 'expected "jpg", got "gif"' },
        ],
      },
    );
    expect(stats.all).toEqual({
      images: 3,
      identities: { count: 2, exact: true },
      imagesWithoutIdentity: 0,
      captions: 3,
      questions: 3,
    });
    expect(stats.bySourceAndSplit.map(({ source, split, part }) => [source, split, part.images])).toEqual([
      ['celeba', 'train', 1],
      ['portraits', 'test', 1],
      ['portraits', 'train', 1],
    ]);
    expect(stats.captions).toMatchObject({
      distinct: { count: 2, exact: true },
      tokens: {
        histogram: [
          [5, 1],
          [7, 2],
        ],
      },
      attributes: {
        histogram: [
          [1, 1],
          [2, 2],
        ],
      },
      presentAttributes: { histogram: [[1, 3]] },
    });
    expect(stats.facts).toMatchObject({ fromLabel: 1, fromClassifier: 1, unstated: 0 });
    expect(stats.facts.classifierPercent.histogram).toEqual([[97, 1]]);
    expect(stats.attributes.find(({ name }) => name === 'Smiling')).toEqual({
      name: 'Smiling',
      group: 'action',
      type: 'smile',
      known: 1,
      present: 0,
      stated: 2,
      fromLabel: 0,
      fromClassifier: 1,
    });
    const [topic] = stats.questions.topics;
    expect(topic).toMatchObject({ topic: 'Smiling', questions: 3 });
    expect(topic!.answers).toEqual([
      { label: 'no', count: 2, share: 2 / 3 },
      { label: 'yes', count: 1, share: 1 / 3 },
    ]);
    expect(stats.rejections).toEqual([
      { stage: 'detect', reason: 'expected # px, got #', count: 2 },
      { stage: 'ingest', reason: 'expected "…", got "…"', count: 1 },
    ]);
  });

  test('counting functions and the vocabulary are given', async () => {
    const stats = await collectStats([record({ captions: ['ab', 'abc'], facts: { Male: true, Young: true } })], {
      countTokens: (text) => text.length,
      statedAttributes: () => ({ Male: true, Goatee: undefined }),
      vocabulary: [{ name: 'Male', group: 'appearance', type: 'gender' }],
    });
    expect(stats.captions.tokens.mean).toBe(2.5);
    expect(stats.captions.attributes.mean).toBe(1);
    expect(stats.attributes).toEqual([
      {
        name: 'Male',
        group: 'appearance',
        type: 'gender',
        known: 1,
        present: 1,
        stated: 2,
        fromLabel: 0,
        fromClassifier: 0,
      },
    ]);
    expect(stats.facts.unstated).toBe(2);
  });

  test('topics made up without end do not fill the memory', async () => {
    const question = (i: number) => ({
      kind: 'reason' as const,
      topic: `topic ${i}`,
      question: '?',
      answer: 'a',
      label: 'a',
      evidence: [],
    });
    const stats = await collectStats([record({ questions: Array.from({ length: 2000 }, (_, i) => question(i)) })]);
    expect(stats.questions.topics).toHaveLength(513);
    expect(stats.questions.topics[0]).toMatchObject({ topic: '(other)', questions: 1488 });
    expect(stats.questions.topics[0]!.answers).toEqual([{ label: 'a', count: 1488, share: 1 }]);
  });
});

describe('wheel', () => {
  test('arcs of both rings fill one turn, groups in order', () => {
    const attribute = { known: 0, present: 0, fromLabel: 0, fromClassifier: 0 };
    const types = sumByType([
      { name: 'Happy', group: 'emotion', type: 'emotion', stated: 1, ...attribute },
      { name: 'Sad', group: 'emotion', type: 'emotion', stated: 1, ...attribute },
      { name: 'Male', group: 'appearance', type: 'gender', stated: 4, ...attribute },
      { name: 'Bald', group: 'appearance', type: 'baldness', stated: 0, ...attribute },
      { name: 'Bangs', group: 'appearance', type: 'bangs', stated: 2, ...attribute },
    ]);
    const { groups, types: outer } = wheelArcs(types);
    expect(groups.map(({ group, startTurns, endTurns }) => [group, startTurns, endTurns])).toEqual([
      ['appearance', 0, 0.75],
      ['emotion', 0.75, 1],
    ]);
    expect(outer.map(({ type, startTurns, endTurns }) => [type, startTurns, endTurns])).toEqual([
      ['gender', 0, 0.5],
      ['bangs', 0.5, 0.75],
      ['emotion', 0.75, 1],
    ]);
  });

  test('a full turn is drawn in two halves', () => {
    expect(ringPath(1, 2, 0, 1).match(/M/g)).toHaveLength(2);
    expect(ringPath(1, 2, 0, 0.25)).toBe('M0.00,-2.00A2,2 0 0 1 2.00,-0.00L1.00,-0.00A1,1 0 0 0 0.00,-1.00Z');
  });
});

describe('report', () => {
  let stats: DatasetStats;
  beforeAll(async () => {
    const rejections = [
      {
        source: 's',
        name: 'n',
        stage: 'validate' as const,
        reason: `caption: expected ${'very '.repeat(40)}long reason`,
      },
    ];
    stats = await collectStats(exampleRecords(60), { rejections });
    stats.bySourceAndSplit[0]!.source = '<img src=x onerror=alert(1)>\u001b[31m';
  });

  test('plain JSON', () => expect(JSON.parse(JSON.stringify(stats))).toEqual(stats));

  test('comparison ends with this data set', () => {
    const rows = comparisonRows(stats, 'mine');
    expect(rows).toHaveLength(7);
    expect(rows.at(-1)).toMatchObject({ name: 'mine', images: 60, own: true });
    expect([760, 50_000_000, 130_000, 1_234_567, 1500].map(shortCount)).toEqual(['760', '50M', '130K', '1.2M', '1.5K']);
  });

  test('text of at most 100 columns, without control characters', () => {
    const text = statsText(stats);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    expect(text).not.toContain('\u001b');
    for (const part of ['Parts', 'UniF²aceD', 'hair color', 'unanswerable', 'Answers by topic', 'Not used'])
      expect(text).toContain(part);
  });

  test('one page that loads nothing, with figures and their tables', async () => {
    const html = await statsHtml(stats, 'Faces & <more>');
    const { document } = parseHTML(html);
    expect(document.querySelector('h1')?.textContent).toBe('Faces & <more>');
    const outside = html.replaceAll(/ xmlns(:\w+)?="[^"]*"/g, '');
    expect(outside).not.toMatch(/<script|<link|<img|https?:\/\/|@import|url\(/i);
    expect(document.querySelectorAll('figure').length).toBe(5);
    for (const figure of document.querySelectorAll('figure')) {
      const svg = figure.querySelector('svg')!;
      expect(svg.getAttribute('role')).toBe('img');
      expect(svg.getAttribute('aria-label') ?? svg.querySelector('title')?.textContent).toMatch(/\w+/);
      expect(figure.querySelectorAll('table tbody tr').length).toBeGreaterThan(2);
      expect(figure.querySelector('figcaption')?.textContent).toMatch(/\w+/);
    }
    expect(html).toContain('prefers-color-scheme: dark');
  });

  test('an empty data set has a page too', async () => {
    const empty = await collectStats([]);
    expect(statsText(empty)).toContain('LAION-Face');
    const { document } = parseHTML(await statsHtml(empty));
    expect(document.querySelectorAll('figure').length).toBe(0);
    expect(document.toString()).not.toContain('NaN');
  });
});

import { groupOrder, sumByType, wheelSvg } from './attribute-wheel.ts';
import { comparisonRows, shortCount } from './comparison.ts';
import type { DatasetStats } from './dataset-stats.ts';
import { escapeHtml } from './escape-html.ts';
import { statsStyle } from './stats-style.ts';
import {
  distributionCells,
  distributionRows,
  fixed,
  many,
  partCells,
  partRows,
  percent,
  shares,
  spoken,
  whole,
} from './stats-text.ts';
import type { Distribution } from './tally.ts';

const drawnTopics = 24;

type Figures = typeof import('./figures.ts');

/** A page by itself: figures are drawn here, nothing is loaded, no script runs. Every figure has its table. */
export async function statsHtml(stats: DatasetStats, name = 'This data set'): Promise<string> {
  // Loaded only when a page is made: the drawing library takes its time
  const { balanceSvg, barsSvg, histogramSvg } = await import('./figures.ts');
  const { all, captions, questions, facts } = stats;
  const title = `${name}: statistics`;
  const body = [
    `<header><h1>${escapeHtml(name)}</h1><p>Faces with captions and questions: what is in the data set.</p></header>`,
    tiles([
      ['images', shortCount(all.images)],
      ['identities', all.identities.exact ? shortCount(all.identities.count) : many(all.identities)],
      ['captions', shortCount(all.captions)],
      ['tokens per caption', fixed(captions.tokens.mean)],
      ['attributes per caption', fixed(captions.attributes.mean)],
      ['questions', shortCount(all.questions)],
    ]),
    section('Beside the data sets of the paper', comparison(stats, name)),
    section('Sources and splits', partsTable(stats)),
    section(
      'Captions',
      `<p>${many(captions.distinct)} of ${whole(all.captions)} captions are different.</p>` +
        distributionFigure(histogramSvg, captions.tokens, 'tokens per caption') +
        distributionFigure(histogramSvg, captions.attributes, 'attributes per caption') +
        table(
          'Distributions',
          ['per', 'mean', 'min', '10 %', 'median', '90 %', 'max', 'of'],
          distributionRows(stats).map(([label, distribution]) => [label, ...distributionCells(distribution)]),
        ),
    ),
    section('Attributes', attributes(stats)),
    section(
      'Where facts come from',
      table(
        'Facts by origin',
        ['from', 'facts', 'share'],
        shares([
          ['label', facts.fromLabel],
          ['classifier', facts.fromClassifier],
          ['not stated', facts.unstated],
        ]),
      ),
    ),
    section(
      'Questions',
      all.questions === 0
        ? '<p>The data set has no questions.</p>'
        : questionFigures({ balanceSvg, barsSvg }, questions),
    ),
    section(
      'Not used',
      stats.rejections.length === 0
        ? '<p>Nothing was left out.</p>'
        : table(
            'Photos and texts left out, by stage and reason',
            ['stage', 'reason', 'count'],
            stats.rejections.map(({ stage, reason, count }) => [stage, reason, whole(count)]),
            2,
          ),
    ),
  ];
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    `<title>${escapeHtml(title)}</title><style>${statsStyle}</style></head>`,
    `<body><main>${body.join('\n')}</main></body></html>`,
    '',
  ].join('\n');
}

function comparison(stats: DatasetStats, name: string): string {
  const rows = comparisonRows(stats, name);
  const cells = rows.map((row) => [
    row.name,
    shortCount(row.images),
    fixed(row.tokensPerCaption),
    fixed(row.attributesPerCaption),
    row.questionsPerImage === null ? '–' : fixed(row.questionsPerImage),
  ]);
  return (
    table(
      'Face–text data sets',
      ['data set', 'images', 'tokens per caption', 'attributes per caption', 'questions per image'],
      cells,
      1,
      rows.findIndex(({ own }) => own),
    ) +
    '<p class="note">Figures of other data sets are quoted from the UniF²ace paper (arXiv 2503.08120), which does not state ' +
    'how tokens and attributes were counted. Here tokens are counted by the function given, and an attribute counts ' +
    'when the caption states that the face has it or lacks it.</p>'
  );
}

function partsTable(stats: DatasetStats): string {
  return table(
    'Images, people and texts by source and split',
    ['source', 'split', 'images', 'identities', 'without identity', 'captions', 'questions'],
    partRows(stats).map(([source, split, part]) => [source, split, ...partCells(part)]),
    2,
  );
}

function distributionFigure(histogramSvg: Figures['histogramSvg'], distribution: Distribution, what: string): string {
  if (distribution.count === 0) return '';
  const { mean, median, percentile10, percentile90 } = distribution;
  const alt = `Histogram of ${what}: mean ${fixed(mean)}, median ${median}, 80 % from ${percentile10} to ${percentile90}`;
  return figure(
    histogramSvg(distribution, what, alt),
    `${what[0]!.toUpperCase()}${what.slice(1)}`,
    table(
      `How often each number of ${what} occurs`,
      [what, 'captions'],
      distribution.histogram.map(([value, count]) => [
        value >= distribution.pooledFrom ? `${value} and more` : `${value}`,
        whole(count),
      ]),
    ),
  );
}

function attributes({ attributes }: DatasetStats): string {
  const types = sumByType(attributes);
  const names = table(
    'Attributes one by one',
    ['attribute', 'type', 'faces known', 'present', 'captions stating it', 'from labels', 'from classifier'],
    attributes.map((entry) => [
      spoken(entry.name),
      entry.type,
      whole(entry.known),
      entry.known === 0 ? '–' : percent(entry.present / entry.known),
      whole(entry.stated),
      whole(entry.fromLabel),
      whole(entry.fromClassifier),
    ]),
    2,
  );
  const byType = table(
    'Attribute types',
    ['group', 'type', 'statements in captions', 'facts known', 'present'],
    types.map(({ group, type, stated, known, present }) => [group, type, whole(stated), whole(known), whole(present)]),
    2,
  );
  if (types.every(({ stated }) => stated === 0)) return byType + names;
  const legend = groupOrder.map((group, index) => `<span><i class="group-${index}"></i>${group}</span>`).join('');
  return (
    figure(
      wheelSvg(types),
      'What captions state, by group and type. Rare types are named in the table',
      byType,
      legend,
    ) + details('Attributes one by one', names)
  );
}

function questionFigures(
  { balanceSvg, barsSvg }: Pick<Figures, 'balanceSvg' | 'barsSvg'>,
  { kinds, topics }: DatasetStats['questions'],
): string {
  const counts = Object.entries(kinds);
  // Questions without an answer have one label alone
  const drawn = topics.filter(({ answers }) => answers.length > 1).slice(0, drawnTopics);
  const guessed = topics.reduce((sum, { answers }) => sum + (answers[0]?.count ?? 0), 0);
  const asked = topics.reduce((sum, { questions }) => sum + questions, 0);
  return (
    figure(
      barsSvg(counts, `Questions by kind: ${counts.map(([kind, count]) => `${kind} ${count}`).join(', ')}`),
      'Questions by kind',
      table('Questions by kind', ['kind', 'questions', 'share'], shares(counts)),
    ) +
    `<p>Always giving the most frequent answer of a topic would be right for ${percent(guessed / asked)} of the questions.</p>` +
    (drawn.length === 0
      ? ''
      : figure(
          balanceSvg(drawn, `Shares of answers for the ${drawn.length} most asked topics`),
          'Balance of answers by topic: darker is more frequent',
          table(
            'Answers by topic',
            ['topic', 'answers', 'questions'],
            topics.map(({ topic, questions, answers }) => [
              spoken(topic),
              answers.map(({ label, share }) => `${spoken(label)} ${percent(share)}`).join(', '),
              whole(questions),
            ]),
            2,
          ),
        ))
  );
}

function tiles(values: readonly (readonly [string, string])[]): string {
  const items = values.map(([label, value]) => `<div><dt>${label}</dt><dd>${value}</dd></div>`);
  return `<dl class="tiles">${items.join('')}</dl>`;
}

function section(title: string, content: string): string {
  return `<section><h2>${title}</h2>${content}</section>`;
}

function figure(svg: string, caption: string, behind: string, legend = ''): string {
  const key = legend === '' ? '' : `<p class="legend">${legend}</p>`;
  return `<figure><figcaption>${escapeHtml(caption)}</figcaption>${key}<div class="scroll">${svg}</div>${details('Table of this figure', behind)}</figure>`;
}

function details(summary: string, content: string): string {
  return `<details><summary>${summary}</summary>${content}</details>`;
}

function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
  leftColumns = 1,
  marked = -1,
): string {
  const left = (column: number) => (column < leftColumns ? ' class="left"' : '');
  const header = head.map((cell, column) => `<th scope="col"${left(column)}>${escapeHtml(cell)}</th>`).join('');
  const lines = rows.map((row, index) => {
    const cells = row.map((cell, column) =>
      column === 0
        ? `<th scope="row" class="left">${escapeHtml(cell)}</th>`
        : `<td${left(column)}>${escapeHtml(cell)}</td>`,
    );
    return `<tr${index === marked ? ' class="own"' : ''}>${cells.join('')}</tr>`;
  });
  // A region that scrolls must be reachable by keyboard
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(caption)}"><table><caption>${escapeHtml(caption)}</caption><thead><tr>${header}</tr></thead><tbody>${lines.join('')}</tbody></table></div>`;
}

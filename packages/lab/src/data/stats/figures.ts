import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { TopicBalance } from './dataset-stats.ts';
import { spoken } from './stats-text.ts';
import type { Distribution } from './tally.ts';

const { document } = parseHTML('<!doctype html><html><body></body></html>');
const widthUnits = 680;
const fontStyle = {
  fontSize: '12px',
  background: 'none',
  color: 'var(--text)',
  fontFamily: 'inherit',
  overflow: 'visible',
};

/** Bars of a distribution, in bins of whole numbers, with a line at the mean. */
export function histogramSvg(distribution: Distribution, axis: string, title: string): string {
  const { histogram, mean, percentile90, max } = distribution;
  // A few very long texts would squeeze all others into one bar
  const last = Math.min(max, Math.max(10, Math.ceil(1.6 * percentile90)));
  const first = histogram[0]?.[0] ?? 0;
  const step = binWidth(last - first + 1);
  const bins = new Map<number, number>();
  for (const [value, count] of histogram) {
    const start = step * Math.floor(Math.min(value, last) / step);
    bins.set(start, (bins.get(start) ?? 0) + count);
  }
  const bars = [...bins].map(([start, count]) => ({ start, end: start + step, count }));
  type Bar = (typeof bars)[number];
  return svg(
    Plot.plot({
      document,
      width: widthUnits,
      height: 260,
      marginLeft: 56,
      marginBottom: 40,
      insetTop: 18,
      style: fontStyle,
      x: {
        label: max > last ? `${axis} (last bar: ${last} and more)` : axis,
        labelAnchor: 'center',
        labelArrow: 'none',
      },
      y: { label: 'captions', grid: true, labelArrow: 'none', tickFormat: 's' },
      marks: [
        Plot.rectY(bars, {
          // A whole number lies in the middle of its bar
          x1: ({ start }: Bar) => start - 0.5,
          x2: ({ end }: Bar) => end - 0.5,
          y: 'count',
          fill: 'var(--series-0)',
          title: ({ start, end, count }: Bar) =>
            `${step === 1 ? start : `${start}–${end - 1}`}: ${count.toLocaleString('en-US')}`,
        }),
        Plot.ruleY([0], { stroke: 'var(--muted)' }),
        Plot.ruleX([mean], { stroke: 'var(--text)', strokeDasharray: '4 3' }),
        Plot.text([mean], {
          x: (value: number) => value,
          frameAnchor: 'top',
          text: () => `mean ${mean.toFixed(1)}`,
          textAnchor: 'start',
          dx: 6,
          fill: 'var(--text)',
          stroke: 'var(--surface)',
          strokeWidth: 4,
        }),
      ],
    }),
    title,
  );
}

function binWidth(values: number): number {
  return [1, 2, 5, 10, 20, 50, 100].find((width) => values / width <= 45) ?? Math.ceil(values / 45);
}

/** One bar per name, longest first, its share of all behind it. */
export function barsSvg(counts: readonly (readonly [name: string, count: number])[], title: string): string {
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const bars = counts.map(([name, count]) => ({ name, count }));
  return svg(
    Plot.plot({
      document,
      width: widthUnits,
      height: 34 * bars.length + 20,
      marginLeft: 120,
      marginRight: 110,
      marginTop: 4,
      marginBottom: 4,
      style: fontStyle,
      x: { axis: null, domain: [0, Math.max(1, ...bars.map(({ count }) => count))] },
      y: { label: null, domain: bars.map(({ name }) => name), tickSize: 0, padding: 0.25 },
      marks: [
        Plot.barX(bars, {
          x: 'count',
          y: 'name',
          fill: 'var(--series-0)',
          title: ({ name, count }: (typeof bars)[number]) => `${name}: ${count.toLocaleString('en-US')}`,
        }),
        Plot.text(bars, {
          x: 'count',
          y: 'name',
          text: ({ count }: (typeof bars)[number]) =>
            `${count.toLocaleString('en-US')} (${((100 * count) / total).toFixed(1)} %)`,
          textAnchor: 'start',
          dx: 6,
          fill: 'var(--text)',
        }),
      ],
    }),
    title,
  );
}

const shownAnswers = 5;

/** One bar per topic, cut by the shares of its answers. Colors follow the rank of the answer, not its meaning. */
export function balanceSvg(topics: readonly TopicBalance[], title: string): string {
  const pieces = topics.flatMap(({ topic, answers }) => {
    const shown = answers.slice(0, shownAnswers).map(({ label, share }, rank) => ({ label, share, rank }));
    const rest = answers.slice(shownAnswers).reduce((sum, { share }) => sum + share, 0);
    if (rest > 0) shown.push({ label: 'others', share: rest, rank: shownAnswers });
    let before = 0;
    return shown.map(({ label, share, rank }) => {
      const start = before;
      before += share;
      return { topic: spoken(topic), label: spoken(label), share, rank, start, end: before };
    });
  });
  type Piece = (typeof pieces)[number];
  return svg(
    Plot.plot({
      document,
      width: widthUnits,
      height: 24 * topics.length + 44,
      marginLeft: 150,
      marginRight: 20,
      marginTop: 4,
      marginBottom: 40,
      style: fontStyle,
      x: { label: 'share of answers (%)', percent: true, domain: [0, 100], labelAnchor: 'center', labelArrow: 'none' },
      y: { label: null, domain: topics.map(({ topic }) => spoken(topic)), tickSize: 0, padding: 0.16 },
      marks: [
        ...Array.from({ length: shownAnswers + 1 }, (_, rank) =>
          Plot.barX(
            pieces.filter((piece) => piece.rank === rank),
            {
              x1: 'start',
              x2: 'end',
              y: 'topic',
              fill: `var(--rank-${rank})`,
              stroke: 'var(--surface)',
              title: ({ topic, label, share }: Piece) => `${topic} — ${label}: ${(100 * share).toFixed(1)} %`,
            },
          ),
        ),
        Plot.text(
          // 6.6 units a letter, so that a name stays within its piece
          pieces.filter(({ label, share }) => share * (widthUnits - 170) > 6.6 * label.length + 8),
          {
            x: ({ start, end }: Piece) => (start + end) / 2,
            y: 'topic',
            text: 'label',
            fill: 'var(--on-rank)',
            fontSize: 11,
          },
        ),
      ],
    }),
    title,
  );
}

function svg(figure: { outerHTML: string; setAttribute(name: string, value: string): void }, title: string): string {
  figure.setAttribute('role', 'img');
  figure.setAttribute('aria-label', title);
  return figure.outerHTML;
}

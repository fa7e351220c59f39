import type { AttributeGroup } from '../grammar/vocabulary.ts';
import type { AttributeStats } from './dataset-stats.ts';
import { escapeHtml } from './escape-html.ts';

/** A type of attributes with the sums over its attributes. */
export interface TypeStats {
  group: AttributeGroup;
  type: string;
  known: number;
  present: number;
  stated: number;
}

/** Sums by type, in the order of the groups and, within one, most often stated first. */
export function sumByType(attributes: readonly AttributeStats[]): TypeStats[] {
  const types = new Map<string, TypeStats>();
  for (const { group, type, known, present, stated } of attributes) {
    const sum = types.get(`${group}\n${type}`) ?? { group, type, known: 0, present: 0, stated: 0 };
    types.set(`${group}\n${type}`, {
      ...sum,
      known: sum.known + known,
      present: sum.present + present,
      stated: sum.stated + stated,
    });
  }
  return [...types.values()].sort(
    (a, b) => groupOrder.indexOf(a.group) - groupOrder.indexOf(b.group) || b.stated - a.stated,
  );
}

export const groupOrder: readonly AttributeGroup[] = ['appearance', 'action', 'emotion'];

export interface Arc {
  group: AttributeGroup;
  /** Absent in the inner ring. */
  type?: string;
  stated: number;
  /** Clockwise from the top, in turns. */
  startTurns: number;
  endTurns: number;
}

/** Inner ring: groups; outer ring: their types. An arc is as long as its share of all statements in captions. */
export function wheelArcs(types: readonly TypeStats[]): { groups: Arc[]; types: Arc[] } {
  const total = types.reduce((sum, { stated }) => sum + stated, 0);
  const arcs: { groups: Arc[]; types: Arc[] } = { groups: [], types: [] };
  let before = 0;
  for (const group of groupOrder) {
    const members = types.filter((entry) => entry.group === group && entry.stated > 0);
    if (members.length === 0) continue;
    const startTurns = before / total;
    for (const { type, stated } of members) {
      arcs.types.push({ group, type, stated, startTurns: before / total, endTurns: (before + stated) / total });
      before += stated;
    }
    const stated = members.reduce((sum, member) => sum + member.stated, 0);
    arcs.groups.push({ group, stated, startTurns, endTurns: before / total });
  }
  return arcs;
}

const radii = { hole: 78, groups: 158, types: 236, label: 244 };
const sizeUnits = 780;
/** A label is left out where its line would touch the next one's. */
const labelHeightUnits = 13;

/** Path of a ring's piece around (0, 0). A full turn is drawn as two halves: an arc back to its start would vanish. */
export function ringPath(inner: number, outer: number, startTurns: number, endTurns: number): string {
  if (endTurns - startTurns > 1 - 1e-9) {
    const half = startTurns + 0.5;
    return ringPath(inner, outer, startTurns, half) + ringPath(inner, outer, half, startTurns + 1 - 2e-9);
  }
  const large = endTurns - startTurns > 0.5 ? 1 : 0;
  const [a, b] = [at(outer, startTurns), at(outer, endTurns)];
  const [c, d] = [at(inner, endTurns), at(inner, startTurns)];
  return `M${a}A${outer},${outer} 0 ${large} 1 ${b}L${c}A${inner},${inner} 0 ${large} 0 ${d}Z`;
}

function at(radius: number, turns: number): string {
  const angle = 2 * Math.PI * turns;
  return `${(radius * Math.sin(angle)).toFixed(2)},${(-radius * Math.cos(angle)).toFixed(2)}`;
}

/**
 * Two-ring wheel of what captions state (paper figure 2), as an SVG element. Colors are the page's variables --group-0 to
 * --group-2, --surface and --text.
 */
export function wheelSvg(types: readonly TypeStats[]): string {
  const arcs = wheelArcs(types);
  const total = types.reduce((sum, { stated }) => sum + stated, 0);
  const share = (stated: number) => `${((100 * stated) / total).toFixed(1)} %`;
  const color = (group: AttributeGroup) => `var(--group-${groupOrder.indexOf(group)})`;
  const half = sizeUnits / 2;
  const inner = arcs.groups.map(
    ({ group, stated, startTurns, endTurns }) =>
      `<path d="${ringPath(radii.hole, radii.groups, startTurns, endTurns)}" fill="${color(group)}"><title>${group}: ${share(stated)}</title></path>`,
  );
  const outer = arcs.types.map(
    ({ group, type, stated, startTurns, endTurns }, index) =>
      `<path d="${ringPath(radii.groups, radii.types, startTurns, endTurns)}" fill="${color(group)}" fill-opacity="${index % 2 === 0 ? 0.62 : 0.42}"><title>${escapeHtml(type!)} (${group}): ${share(stated)}</title></path>`,
  );
  const groupLabels = arcs.groups
    .filter(({ startTurns, endTurns }) => endTurns - startTurns > 0.07)
    .map(({ group, startTurns, endTurns }) => {
      const [x, y] = at((radii.hole + radii.groups) / 2, (startTurns + endTurns) / 2).split(',');
      return `<text x="${x}" y="${y}" class="group">${group}</text>`;
    });
  return [
    `<svg class="wheel" viewBox="${-half} ${-half} ${sizeUnits} ${sizeUnits}" role="img" aria-labelledby="wheel-title" font-size="12">`,
    `<title id="wheel-title">What captions state: ${arcs.types.length} attribute types in ${arcs.groups.length} groups</title>`,
    `<g stroke="var(--surface)" stroke-width="1.5">${inner.join('')}${outer.join('')}</g>`,
    `<g fill="#fff" font-weight="600" text-anchor="middle" dominant-baseline="central">${groupLabels.join('')}</g>`,
    `<g fill="var(--text)" dominant-baseline="central">${typeLabels(arcs.types).join('')}</g>`,
    `<g fill="var(--text)" text-anchor="middle"><text y="-2" font-size="24" font-weight="600">${total.toLocaleString('en-US')}</text><text y="18">statements</text></g>`,
    '</svg>',
  ].join('');
}

function typeLabels(types: readonly Arc[]): string[] {
  const leastTurns = labelHeightUnits / (2 * Math.PI * radii.label);
  let free = 0;
  return types.flatMap(({ type, startTurns, endTurns }) => {
    const middle = (startTurns + endTurns) / 2;
    if (middle - leastTurns / 2 < free || middle + leastTurns / 2 > 1) return [];
    free = middle + leastTurns / 2;
    const degrees = 360 * middle;
    // Text on the left half would stand on its head
    const turned = degrees > 180;
    const rotation = turned ? degrees + 90 : degrees - 90;
    const x = turned ? -radii.label : radii.label;
    return [
      `<text transform="rotate(${rotation.toFixed(2)})" x="${x}" text-anchor="${turned ? 'end' : 'start'}">${escapeHtml(type!)}</text>`,
    ];
  });
}

import { attributeNames, type StatedAttributes } from '../grammar/attributes.ts';
import { actionLabels, appearanceLabels, emotionLabels } from './celebvhq-labels.ts';

const fold = (label: string) =>
  label
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, '_');

const attributeByLabel = new Map<string, string>(
  [
    ...attributeNames,
    ...[appearanceLabels, actionLabels, emotionLabels].flatMap((labels) => Object.values(labels)),
  ].map((name) => [fold(name), name]),
);

/** Attribute a label names, whatever its case and separators ("wearing hat" is Wearing_Hat); undefined if none. */
export function attributeOfLabel(label: string): string | undefined {
  return attributeByLabel.get(fold(label));
}

/** Facts by attribute name. */
export function statedAttributes(facts: Iterable<readonly [string, boolean]>): StatedAttributes {
  return Object.fromEntries(facts) as StatedAttributes;
}

/** Truth of a label: true or false, 1 or 0, or CelebA's 1 and −1; undefined if it is none of them. */
export function truthOf(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value;
  const number = typeof value === 'bigint' ? Number(value) : value;
  return number === 1 ? true : number === 0 || number === -1 ? false : undefined;
}

/** Ages beyond doubt: up to `young` and from `old` on. CelebA gives no ages; between them annotators disagree. */
const clearAgeYears = { young: 25, old: 60 } as const;

/** Young by age, where it is clear; absent in between. */
export function youngByAge(ageYears: number): [string, boolean][] {
  return ageYears <= clearAgeYears.young ? [['Young', true]] : ageYears >= clearAgeYears.old ? [['Young', false]] : [];
}

/** Oldest age taken for real. */
export const maxAgeYears = 116;

export function isAge(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= maxAgeYears;
}

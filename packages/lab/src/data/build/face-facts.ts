import {
  type AttributeName,
  resolveAttributes,
  type StatedAttributes,
  unspokenAttributes,
} from '../grammar/attributes.ts';
import type { FactSource } from './types.ts';

export const factsVersion = '1';

/** A classifier's word counts from this probability on, for an attribute and against it. */
export interface Confidence {
  present: number;
  absent: number;
}

export const defaultConfidence: Confidence = { present: 0.9, absent: 0.95 };

/**
 * What is known about a face: the source's labels as they are, and the classifier's word where they are silent and it is
 * sure enough. What contradicts itself is left out; attributes that are never put into words are dropped.
 * @param probabilities calibrated, by attribute.
 */
export function mergeFacts(
  labels: StatedAttributes,
  probabilities: Readonly<Record<string, number>>,
  confidence: Confidence = defaultConfidence,
): { facts: StatedAttributes; factSources: Record<string, FactSource> } {
  const all: StatedAttributes = { ...labels };
  for (const [name, probability] of Object.entries(probabilities) as [AttributeName, number][]) {
    if (name in labels || unspokenAttributes.includes(name)) continue;
    if (probability >= confidence.present) all[name] = true;
    else if (1 - probability >= confidence.absent) all[name] = false;
  }
  const facts = resolveAttributes(all);
  const factSources = Object.fromEntries(
    (Object.keys(facts) as AttributeName[]).map((name): [string, FactSource] => {
      if (name in labels) return [name, { from: 'label', probability: 1 }];
      const probability = probabilities[name]!;
      return [name, { from: 'classifier', probability: facts[name] ? probability : 1 - probability }];
    }),
  );
  return { facts, factSources };
}

import { constant, evaluate, gradients, input, Philox, reduceSum } from '@unif2ace/graph';
import { describe, expect, test } from 'vitest';
import { fullVocabularyScore, unnormalizedScore } from './d3diff.ts';
import { type ScoreParameterization, scoreTokenLoss } from './d3diff-graph.ts';

// N rows, A whole vocabulary, codes at codeOffset.. ; the head is the identity, so that hidden states are the logits

const [rows, vocabulary, codeOffset, codes] = [4, 9, 3, 5];
const random = new Philox(41);
const logits = Float64Array.from({ length: rows * vocabulary }, () => 1.5 * random.normal());
const targets = Array.from({ length: rows }, () => random.int(codes));
const bias = Array.from({ length: vocabulary }, () => 0);
const identity = Float32Array.from({ length: vocabulary ** 2 }, (_, n) => Number(n % (vocabulary + 1) === 0));

function graphLoss(parameterization: ScoreParameterization): { value: Float64Array; gradient: Float64Array } {
  const hidden_ND = input('hidden', [rows, vocabulary]);
  const head = {
    weight_AD: constant(identity, [vocabulary, vocabulary]),
    bias_A: constant(Float32Array.from(bias), [vocabulary]),
    codeOffset,
    codes,
  };
  const loss_N = scoreTokenLoss(hidden_ND, head, constant(Int32Array.from(targets), [rows]), parameterization);
  const [gradient] = gradients(reduceSum(loss_N), [hidden_ND]);
  const [value, slope] = evaluate([loss_N, gradient!], { hidden: logits });
  return { value: value!.data, gradient: slope!.data };
}

const rowOf = (n: number) => Array.from(logits.subarray(n * vocabulary, (n + 1) * vocabulary));
const isCode = (a: number) => a >= codeOffset && a < codeOffset + codes;
const logSumExp = (x: readonly number[]) => Math.log(x.reduce((sum, v) => sum + Math.exp(v), 0));

/** Value, and gradient by hand, of one row (paper §1.6). */
const byHand: Record<ScoreParameterization, (row: number[], target: number) => { value: number; gradient: number[] }> =
  {
    normalized(row, target) {
      const norm = logSumExp(row.filter((_, a) => isCode(a)));
      return {
        value: norm - row[codeOffset + target]!,
        gradient: row.map((x, a) => (isCode(a) ? Math.exp(x - norm) : 0) - Number(a === codeOffset + target)),
      };
    },
    fullVocabulary(row, target) {
      const p = row.map((x) => Math.exp(x - logSumExp(row)));
      const mass = p.filter((_, a) => isCode(a)).reduce((a, b) => a + b, 0);
      // ce_conditional − log P + P − 1
      const conditional = -Math.log(p[codeOffset + target]! / mass);
      return {
        value: conditional - Math.log(mass) + mass - 1,
        gradient: p.map((q, a) => q - Number(a === codeOffset + target) + q * (Number(isCode(a)) - mass)),
      };
    },
    unnormalized(row, target) {
      const scores = row.map((x, a) => (isCode(a) ? Math.exp(x) : 0));
      return {
        value: scores.reduce((a, b) => a + b, 0) - row[codeOffset + target]! - 1,
        gradient: scores.map((s, a) => s - Number(a === codeOffset + target)),
      };
    },
  };

describe.each(['normalized', 'fullVocabulary', 'unnormalized'] as const)('%s score', (parameterization) => {
  const { value, gradient } = graphLoss(parameterization);

  test('graph values and gradients are the formula by hand', () => {
    for (let n = 0; n < rows; n++) {
      const want = byHand[parameterization](rowOf(n), targets[n]!);
      expect(value[n]).toBeCloseTo(want.value, 11);
      want.gradient.forEach((g, a) => {
        expect(gradient[n * vocabulary + a]).toBeCloseTo(g, 11);
      });
    }
  });

  test('the gradient by hand is a central difference', () => {
    const row = rowOf(1);
    const f = (x: number[]) => byHand[parameterization](x, targets[1]!);
    const h = 1e-5;
    row.forEach((x, a) => {
      const slope = (f(row.with(a, x + h)).value - f(row.with(a, x - h)).value) / (2 * h);
      expect(Math.abs(slope - f(row).gradient[a]!)).toBeLessThan(1e-8);
    });
  });
});

test('the reporting functions agree with the formula by hand', () => {
  for (let n = 0; n < rows; n++) {
    const row = rowOf(n);
    const logP = row.map((x) => x - logSumExp(row));
    expect(fullVocabularyScore(logP, codeOffset, codes, targets[n]!)).toBeCloseTo(
      byHand.fullVocabulary(row, targets[n]!).value,
      11,
    );
    expect(unnormalizedScore(row.slice(codeOffset, codeOffset + codes), targets[n]!)).toBeCloseTo(
      byHand.unnormalized(row, targets[n]!).value,
      11,
    );
  }
});

test('the extra penalty of the full vocabulary is ≥ 0 and vanishes when all mass is on codes', () => {
  const penalty = (row: number[]) => byHand.fullVocabulary(row, 0).value - byHand.normalized(row, 0).value;
  expect(penalty(rowOf(0))).toBeGreaterThan(0);
  expect(penalty(rowOf(0).map((x, a) => (isCode(a) ? x : -60)))).toBeCloseTo(0, 12);
});

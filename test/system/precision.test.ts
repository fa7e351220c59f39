import { fileURLToPath } from 'node:url';
import { collect, imageCodes, type Precision, UniF2ace } from '@unif2ace/core';
import { loadModel } from '@unif2ace/core/node';
import { LocalStates, type Session, type StateRun, type States } from '@unif2ace/graph';
import { directRuntime } from '@unif2ace/graph/node';
import { describe, expect, test } from 'vitest';

const pico = await loadModel(fileURLToPath(new URL('../../weights/pico', import.meta.url)));

/** The bundled model at a precision, and what its networks say run by run: logits of words, of codes the logarithms of probabilities. */
function modelAt(precision: Precision) {
  const states = new LocalStates();
  const logits: Float32Array[] = [];
  const watching: States = {
    create: (shapes) => states.create(shapes),
    clone: (state) => states.clone(state),
    free: (state) => states.free(state),
    run: async (session: Session, request: StateRun) => {
      const result = await states.run(session, request);
      if (result.logits) logits.push((result.logits.data as Float32Array).slice());
      if (result.probabilities) logits.push((result.probabilities.data as Float32Array).map(Math.log));
      return result;
    },
  };
  const model = new UniF2ace(pico, { ...directRuntime({ intraOpThreads: 1 }), states: watching }, false, precision);
  return { model, logits };
}

const rangeOf = (values: Float32Array) =>
  values.reduce((a, b) => Math.max(a, b)) - values.reduce((a, b) => Math.min(a, b));

/** What the model says and draws, with the same seeds. */
async function sample({ model, logits }: ReturnType<typeof modelAt>) {
  const [face] = await collect(model.generate('a smiling woman with blond hair', { seed: 2, steps: 4 }));
  const codes: number[] = [];
  for (let seed = 0; seed < 4; seed++) {
    const run = model.generate('a man with black hair', { seed, steps: 1, temperature: 0, guidance: 0 });
    for (let next = await run.next(); !next.done; next = await run.next()) codes.push(...next.value.guesses[0]!);
  }
  const denoising = logits.splice(0);
  return { face: face!, codes, denoising };
}

describe('precision, measured on the bundled model', async () => {
  const exact = modelAt('fp32');
  const reference = await sample(exact);
  const looked = reference.face;
  const words = await collect(exact.model.describe(looked));
  const first = exact.logits[0]!;
  const spread = rangeOf(first);

  test.each([
    ['int8', { logit: 0.01, codes: 0.9 }],
    ['int4', { logit: 0.05, codes: 0.75 }],
  ] as const)('%s', async (precision, bound) => {
    const reduced = modelAt(precision);
    const { codes, denoising } = await sample(reduced);
    expect(codes).toHaveLength(4 * imageCodes(pico.config));
    const agreeing = codes.filter((code, i) => code === reference.codes[i]).length / codes.length;
    const step = denoising[0]!;
    const range = rangeOf(reference.denoising[0]!);
    let worst = 0;
    for (let i = 0; i < step.length; i++) worst = Math.max(worst, Math.abs(step[i]! - reference.denoising[0]![i]!));
    const said = await collect(reduced.model.describe(looked));
    let worstWord = 0;
    for (let i = 0; i < first.length; i++)
      worstWord = Math.max(worstWord, Math.abs(reduced.logits[0]![i]! - first[i]!));
    console.info(
      `${precision}: largest logit difference ${worst.toFixed(3)} of a range of ${range.toFixed(1)} (codes), ` +
        `${worstWord.toFixed(3)} of ${spread.toFixed(1)} (words); codes drawn alike ${(100 * agreeing).toFixed(1)} %; ` +
        `description ${said === words ? 'the same' : 'another'}`,
    );
    expect(worst).toBeGreaterThan(0);
    expect(worst / range).toBeLessThan(bound.logit);
    expect(agreeing).toBeGreaterThan(bound.codes);
  });
});

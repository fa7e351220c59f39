import { createInterface } from 'node:readline';
import nano from '@unif2ace/recipes/nano';
import type { BenchCase } from './case.ts';
import { conv } from './cases/conv.ts';
import { decode } from './cases/decode.ts';
import { exportRows } from './cases/export.ts';
import { gptStep } from './cases/gpt-step.ts';
import { moe } from './cases/moe.ts';
import { nanoStep } from './cases/nano-step.ts';
import { answers, concurrent, denoise, firstToken } from './cases/serving.ts';
import sizes from './cases.json' with { type: 'json' };

// Our side of the benchmarks, in a process of its own under the peer's protocol: a line {"case", "warmup"} asks for untimed
// repetitions and one timed; the answer is {"case", "ms", "peakRssMiB", "check"}.

const cases: Record<string, () => Promise<BenchCase>> = {
  gpt_step: () => gptStep(sizes.gpt_step),
  conv: () => conv(sizes.conv),
  moe: () => moe(sizes.moe, 'sparse'),
  moe_dense: () => moe(sizes.moe, 'dense'),
  nano_step: () => nanoStep(nano, sizes.nano_step),
  decode_small: () => decode(sizes.decode_small),
  decode: () => decode(sizes.decode),
  export: () => exportRows(sizes.export),
  denoise: () => denoise('kept'),
  denoise_plain: () => denoise('plain'),
  concurrent: () => concurrent('together'),
  one_by_one: () => concurrent('one_by_one'),
  answers: () => answers(1),
  answers_8: () => answers(8),
  first_token: () => firstToken(),
};

const loaded: { name: string; bench: BenchCase }[] = [];

async function benchOf(name: string): Promise<BenchCase> {
  if (loaded[0]?.name === name) return loaded[0].bench;
  await loaded.pop()?.bench.close();
  const make = cases[name];
  if (!make) throw new Error(`unknown case ${name}; expected one of ${Object.keys(cases).join(', ')}`);
  const bench = await make();
  loaded.push({ name, bench });
  return bench;
}

async function answer(name: string, warmup: number) {
  const bench = await benchOf(name);
  for (let i = 0; i < warmup; i++) await bench.run();
  const start = performance.now();
  const check = await bench.run();
  return { case: name, ms: performance.now() - start, peakRssMiB: process.resourceUsage().maxRSS / 1024, check };
}

console.log(JSON.stringify({ engine: 'onnxruntime-node', node: process.version }));
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as { case: string; warmup?: number };
  const reply = await answer(request.case, request.warmup ?? 0).catch((error) => ({
    case: request.case,
    error: String(error),
  }));
  console.log(JSON.stringify(reply));
}
await loaded[0]?.bench.close();

import { evaluateRouting, type RouterLoad, type RoutingReport, routingHtml } from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { CommandError } from '../errors.ts';
import { modelDocument, withModel } from '../model.ts';
import { addModelOptions, modelOptions, parseOptions, pathOption, seedOption } from '../options.ts';
import { planFile, writeJson, writeOutput } from '../output.ts';
import { StatusLine } from '../progress.ts';
import { addTestFaceOptions, testFaceOptions, testFaces } from '../test-faces.ts';

const Options = z.object({ ...modelOptions, ...testFaceOptions, html: pathOption.optional(), seed: seedOption });

export function addEvalRouting(group: Command, env: Environment): void {
  const command = group
    .command('routing')
    .description('how test faces and their texts spread over the experts, per layer, level and task')
    .option('--html <file>', 'also write heatmaps, as a page of its own')
    .option('--seed <n>', 'seed of masks, captions and questions', '0');
  addModelOptions(addTestFaceOptions(command)).action((raw: Record<string, unknown>) => evaluate(env, raw));
}

async function evaluate(env: Environment, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('eval routing', Options, raw);
  const html = options.html === undefined ? undefined : await planFile(env, options.html);
  const records = await testFaces(env, options);
  const status = new StatusLine(env.stderr);
  await withModel(env, options, async (open) => {
    const { backbone } = open.loaded.config;
    if (!backbone.tokenMoe && !backbone.sequenceMoe)
      throw new CommandError('--model', 'a model with experts', `${options.model}, which has none`, '--model pico');
    const report = await evaluateRouting(open.loaded, records, open.runtime, {
      seed: options.seed,
      onProgress: (done, total) => {
        env.signal.throwIfAborted();
        status.show(`${done} of ${total} faces`);
      },
    });
    status.clear();
    const model = modelDocument(open);
    if (html) await writeOutput(html, new TextEncoder().encode(routingHtml(report, model)));
    if (options.json)
      writeJson(env, { what: 'routing', model, split: options.split, ...report, ...(html && { html }) });
    else env.stdout.write(routingText(report, html));
  });
}

function routingText(report: RoutingReport, html: string | undefined): string {
  const { t2i, mmu } = report.tokens;
  const idle = report.routers.filter((router) => router.idle.length > 0);
  return [
    `${report.faces} test faces, ${t2i} tokens of generation (t2i), ${mmu} of understanding (mmu)`,
    `${'task'.padEnd(5)}${'level'.padEnd(10)}${'layer'.padStart(5)}${'even'.padStart(6)}${'sure'.padStart(6)}${'balance'.padStart(8)}  load in %`,
    ...report.routers.map(row),
    'even: entropy of the load, 1 when all experts are used alike; sure: 1 − entropy of the scores',
    idle.length === 0
      ? 'no expert has less than a tenth of an equal share'
      : `less than a tenth of an equal share: ${idle.map(({ task, level, layer, idle }) => `${task} ${level} ${layer} (${idle.join(', ')})`).join('; ')}`,
    ...(html ? [html] : []),
    '',
  ].join('\n');
}

function row({ task, level, layer, experts, load, loadEntropy, scoreEntropy, balance }: RouterLoad): string {
  const shares = load.map((share, e) => {
    const percent = (100 * share).toFixed(1);
    return level === 'token' ? percent.padStart(5) : `${experts[e]} ${percent}`;
  });
  return `${task.padEnd(5)}${level.padEnd(10)}${String(layer).padStart(5)}${loadEntropy.toFixed(2).padStart(6)}${(1 - scoreEntropy).toFixed(2).padStart(6)}${balance.toFixed(2).padStart(8)}  ${shares.join(' ')}`;
}

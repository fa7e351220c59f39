import { evaluateTokenizer, type TokenizerScore } from '@unif2ace/lab';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { modelDocument, withModel } from '../model.ts';
import { addModelOptions, modelOptions, parseOptions } from '../options.ts';
import { writeJson } from '../output.ts';
import { StatusLine } from '../progress.ts';
import { addTestFaceOptions, testFaceOptions, testFaces } from '../test-faces.ts';

const Options = z.object({ ...modelOptions, ...testFaceOptions });

export function addEvalTokenizer(group: Command, env: Environment): void {
  const command = group
    .command('tokenizer')
    .description('how well the image tokenizer keeps a face: PSNR, SSIM, codebook use');
  addModelOptions(addTestFaceOptions(command)).action((raw: Record<string, unknown>) => evaluate(env, raw));
}

async function evaluate(env: Environment, raw: Record<string, unknown>): Promise<void> {
  const options = parseOptions('eval tokenizer', Options, raw);
  const records = await testFaces(env, options);
  const status = new StatusLine(env.stderr);
  await withModel(env, options, async (open) => {
    const scores = await evaluateTokenizer(open.face, records, (done) => {
      env.signal.throwIfAborted();
      status.show(`${done} of ${records.length} faces`);
    });
    status.clear();
    if (options.json)
      writeJson(env, {
        what: 'tokenizer',
        model: modelDocument(open),
        split: options.split,
        faces: records.length,
        scores,
      });
    else env.stdout.write(tokenizerText(scores));
  });
}

function tokenizerText(score: TokenizerScore): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const groups = score.codesUsed.map((used) => `${used} of ${score.codes} (${percent(used / score.codes)})`);
  return [
    `faces of test identities  ${score.faces}`,
    `PSNR, mean over faces     ${score.meanPsnrDb.toFixed(2)} dB`,
    `PSNR of the mean error    ${score.psnrOfMeanErrorDb.toFixed(2)} dB`,
    `SSIM, mean over faces     ${score.meanSsim.toFixed(3)}`,
    `codes used                ${groups.join(', ')}`,
    `perplexity of the codes   ${score.codePerplexity.map((value) => value.toFixed(0)).join(', ')}`,
    '',
  ].join('\n');
}

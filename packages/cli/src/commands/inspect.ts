import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { imageTokens, type LoadedModel, layoutOf, tokenGrid } from '@unif2ace/core';
import { loadModel } from '@unif2ace/core/node';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { resolveModel } from '../model.ts';
import { addJsonOption, jsonOption, parseOptions } from '../options.ts';
import { writeJson } from '../output.ts';

export function addInspect(program: Command, env: Environment): void {
  const command = program
    .command('inspect')
    .description('say what a model consists of')
    .argument('<model>', 'a bundled model or a model folder');
  addJsonOption(command).action((model: string, raw: Record<string, unknown>) => inspect(env, model, raw));
}

/** Part of a model and group within it that a parameter belongs to. */
function placeOf(name: string): { part: string; group: string } {
  const path = name.split('.');
  const [top] = path;
  if (top === 'tokenizer') return { part: 'tokenizer', group: path[1]! };
  if (top === 'face_encoder') return { part: 'face encoder', group: 'network' };
  const level = path.find((step) => step === 'token_moe' || step === 'sequence_moe');
  if (level) {
    const below = path.slice(path.indexOf(level) + 1);
    const kind = below[1] === 'gate' ? 'router' : below[1] === 'shared_experts' ? 'shared' : 'routed';
    const group =
      level === 'token_moe' ? `token experts, ${below[0]}, ${kind}` : `sequence experts, ${below[0]}, ${kind}`;
    return { part: 'backbone', group };
  }
  const resampler = path.indexOf('resamplers');
  if (resampler >= 0) {
    const kind = path.slice(resampler).find((step) => /^(?:clip|face|noise)$/.test(step));
    return { part: 'backbone', group: `resampler, ${kind ?? 'shared'}` };
  }
  if (path.includes('embed_tokens')) return { part: 'backbone', group: 'embedding' };
  if (path.includes('lm_head')) return { part: 'backbone', group: 'head' };
  if (path.includes('self_attn')) return { part: 'backbone', group: 'attention' };
  if (path.includes('mlp')) return { part: 'backbone', group: 'feed-forward' };
  return { part: 'backbone', group: 'norms' };
}

/** Parameters by part and group. */
function parameterGroups(model: Pick<LoadedModel, 'weights'>): Record<string, Record<string, number>> {
  const parts: Record<string, Record<string, number>> = {};
  for (const [name, data] of model.weights) {
    const { part, group } = placeOf(name);
    parts[part] ??= {};
    parts[part][group] = (parts[part][group] ?? 0) + data.length;
  }
  return parts;
}

const sum = (values: Record<string, number>): number =>
  Object.values(values).reduce((total, value) => total + value, 0);

async function fileSizes(folder: string): Promise<Record<string, number>> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.flatMap((entry) => (entry.isFile() ? [entry.name] : [])).sort();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, (await stat(join(folder, name))).size] as const)),
  );
}

async function inspect(env: Environment, name: string, raw: Record<string, unknown>): Promise<void> {
  const { json } = parseOptions('inspect', z.object({ json: jsonOption }), raw);
  const folder = await resolveModel(env, name);
  const model = await loadModel(folder);
  const { config } = model;
  const groups = parameterGroups(model);
  const parameters = Object.fromEntries(
    Object.entries(groups).map(([part, counts]) => [part, { total: sum(counts), ...counts }]),
  );
  const total = Object.values(groups).reduce((all, counts) => all + sum(counts), 0);
  const layout = layoutOf(config);
  const grid = tokenGrid(config);
  const tokens = {
    image: imageTokens(config),
    imageCodes: layout.codes,
    codesPerToken: layout.codeGroups,
    text: config.textVocabSize,
    vocabulary: layout.vocabSize,
    prompt: config.promptTokens,
    answer: config.answerTokens,
  };
  const fileBytes = await fileSizes(folder);
  if (json) {
    writeJson(env, {
      name: config.name,
      folder,
      hash: model.hash,
      parameters: { total, ...parameters },
      tokens,
      fileBytes,
      config,
    });
    return;
  }
  const count = (value: number) => value.toLocaleString('en-US');
  const { phi, block, tokenMoe, sequenceMoe } = config.backbone;
  const line = (label: string, value: string) => env.stdout.write(`${label.padEnd(36)}${value}\n`);
  line('model', config.name);
  line('folder', folder);
  line('hash (SHA-256 of the weights)', model.hash);
  line(
    'image',
    `${config.imageSize}×${config.imageSize} px → ${grid}×${grid} = ${tokens.image} tokens of ${tokens.codesPerToken === 1 ? '' : `${tokens.codesPerToken} × `}${count(tokens.imageCodes)} codes`,
  );
  line(
    'text',
    `${count(tokens.text)} tokens; a prompt takes ${tokens.prompt}, a question with its answer ${tokens.answer}`,
  );
  line(
    'backbone',
    `${phi.layers} ${block} layers, width ${phi.hiddenSize}, ${phi.heads} heads, vocabulary ${count(tokens.vocabulary)}`,
  );
  line(
    'token experts per task',
    tokenMoe
      ? `${tokenMoe.router.experts} routed (top ${tokenMoe.router.topK}, hidden ${tokenMoe.routedHidden}), shared hidden ${tokenMoe.sharedHidden}`
      : 'none',
  );
  line(
    'sequence experts',
    sequenceMoe
      ? `t2i ${sequenceMoe.t2i.join(' ')}; mmu ${sequenceMoe.mmu.join(' ')}; top ${sequenceMoe.topK}`
      : 'none',
  );
  line('parameters', count(total));
  for (const [part, counts] of Object.entries(groups)) {
    line(`  ${part}`, count(sum(counts)));
    for (const [group, size] of Object.entries(counts)) line(`    ${group}`, count(size));
  }
  env.stdout.write('files\n');
  for (const [file, bytes] of Object.entries(fileBytes)) line(`  ${file}`, `${count(bytes)} bytes`);
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '@unif2ace/graph';
import { startServer, ThreadedEngine } from '@unif2ace/studio/server';
import type { Command } from 'commander';
import { pino } from 'pino';
import { z } from 'zod';
import type { Environment } from '../environment.ts';
import { StoppedAsAsked } from '../errors.ts';
import { resolveModel } from '../model.ts';
import { addModelOptions, modelOptions, numberFrom, parseOptions } from '../options.ts';

const keyVariable = 'UNIF2ACE_API_KEY';

const Options = z.object({
  ...modelOptions,
  host: z.string().regex(/^[A-Za-z0-9.:-]{1,253}$/, { error: 'an address or host name' }),
  port: numberFrom(0, 65_535),
  apiKey: z.string().min(1, { error: 'a key that is not empty' }).optional(),
  queue: numberFrom(1, 10_000),
  concurrency: numberFrom(1, 64),
  threads: numberFrom(1, 64).optional(),
  rateLimit: numberFrom(0, 1_000_000).optional(),
  drainSeconds: numberFrom(0, 3600),
  logPrompts: z.boolean().default(false),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent'], { error: 'debug, info, warn, error or silent' }),
});

export function addServe(program: Command, env: Environment, version: string): void {
  const command = program
    .command('serve')
    .description('answer over HTTP as the OpenAI API does, and show the studio page')
    .option('--host <address>', 'address to listen on; others than loopback are reachable from outside', '127.0.0.1')
    .option('--port <number>', '0 takes a free one', '7860')
    .option('--api-key <key>', `clients must send it; better set as ${keyVariable}, which other users cannot see`)
    .option('--queue <number>', 'requests that may wait', '256')
    .option('--concurrency <number>', 'requests under way at the same time', '8')
    .option('--threads <number>', 'threads with a model each (default: 2 on a CPU of several cores, else 1)')
    .option('--rate-limit <number>', 'posts of one address a minute, 0 for any (default: 0 on loopback, else 120)')
    .option('--drain-seconds <number>', 'time for a shutdown to finish what was accepted', '30')
    .option('--log-level <level>', 'debug, info, warn, error or silent', 'info')
    .option('--log-prompts', 'log prompts and questions');
  addModelOptions(command).action((raw: Record<string, unknown>) => serve(env, raw, version));
}

async function serve(env: Environment, raw: Record<string, unknown>, version: string): Promise<void> {
  const options = parseOptions('serve', Options, raw);
  const { host, port, rateLimit, json } = options;
  const apiKey = options.apiKey ?? (process.env[keyVariable] || null);
  const log = pino({ level: options.logLevel }, { write: (line: string) => env.stderr.write(line) });
  const attributes = join(env.root, 'weights', 'attributes');
  const tell = (device: Device, reason: string) => {
    if (options.device === 'auto' && !json) env.stdout.write(`device: ${device} (${reason})\n`);
    log.info({ device, reason }, 'device');
  };
  const engine = await ThreadedEngine.open({
    model: await resolveModel(env, options.model),
    attributes: existsSync(attributes) ? attributes : null,
    device: options.device,
    concurrency: options.concurrency,
    ...(options.threads !== undefined && { threads: options.threads }),
    onDevice: tell,
  });
  const server = await startServer({
    engine,
    log,
    version,
    host,
    port,
    apiKey,
    queueCapacity: options.queue,
    drainMs: 1000 * options.drainSeconds,
    logPrompts: options.logPrompts,
    ...(rateLimit !== undefined && { requestsPerMinute: rateLimit === 0 ? null : rateLimit }),
  }).catch(async (error) => {
    await engine.close();
    throw error;
  });
  const { name, hash, device } = engine.info;
  if (json) env.stdout.write(`${JSON.stringify({ url: server.url, model: { name, hash }, device })}\n`);
  else {
    const shown = server.hasPage ? 'page and API' : 'API (the page is not built)';
    env.stdout.write(`${shown} of ${name}: ${server.url}\n`);
  }
  if (!server.isLoopback && apiKey === null)
    log.warn(`anyone who reaches ${server.url} may use it; set ${keyVariable}`);
  const told = new Promise<void>((resolve) => {
    if (env.signal.aborted) resolve();
    env.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  // without its model the process is of no use: whoever watches it starts another
  const failure = await Promise.race([told, engine.failed]);
  await server.close();
  if (failure) throw failure;
  throw new StoppedAsAsked();
}

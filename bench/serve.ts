import { randomBytes } from 'node:crypto';
import { encodePng, pixelImage } from '@unif2ace/core';
import { Served, type ServerFigures } from './served.ts';
import { median } from './side.ts';

// The real server as a process of its own, its users in this one: throughput of many users against one at a time (interleaved,
// medians), waiting times, memory over thousands of requests, and how long its event loop was ever blocked.

const users = 8;
const rounds = 5;
/** Faces of a round: one after the other, and by each user. */
const [facesAlone, facesEach] = [4, 3];
const samples = 20;

export interface ServeFigures {
  model: string;
  /** Time to the address. */
  startMs: number;
  aloneMs: number;
  /** Of one face while all users make some. */
  p95Ms: number;
  /** Faces a second of all users over those of one at a time. */
  throughputRatio: number;
  requests: number;
  /** Requests that were not answered as they should. */
  failures: number;
  /** Resident memory as requests are served, and how much more it is at the end than after a quarter. */
  residentMiB: number[];
  growthMiB: number;
  faces: ServerFigures;
  mixed: ServerFigures;
  large: ServerFigures;
  exitCode: number | null;
}

const prompts = ['a smiling woman with blond hair', 'a man with a beard', 'a young person wearing eyeglasses', ''];
const photo = `data:image/png;base64,${Buffer.from(
  encodePng(
    pixelImage(
      64,
      64,
      Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 37) % 256),
    ),
  ),
).toString('base64')}`;

const question = (url: string, more: object = {}) => ({
  messages: [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Is the person smiling?' },
        { type: 'image_url', image_url: { url } },
      ],
    },
  ],
  face: 'aligned',
  ...more,
});

/** Each of the users takes the next request when its last has been answered; how many failed. */
async function byUsers(count: number, request: (index: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  let failures = 0;
  const user = async () => {
    while (next < count)
      await request(next++).catch((error) => {
        failures++;
        console.error(error);
      });
  };
  await Promise.all(Array.from({ length: users }, user));
  return failures;
}

async function throughput(server: Served) {
  const face = (seed: number) =>
    server.ask('images/generations', { prompt: prompts[seed % prompts.length], seed, steps: 12, guidance: 3 });
  const alone: number[] = [];
  const together: number[] = [];
  const waits: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startMs = performance.now();
    for (let i = 0; i < facesAlone; i++) await face(i);
    alone.push((performance.now() - startMs) / facesAlone);
    const togetherMs = performance.now();
    await byUsers(users * facesEach, async (i) => waits.push(await face(i)));
    together.push((performance.now() - togetherMs) / (users * facesEach));
  }
  const p95Ms = waits.sort((a, b) => a - b)[Math.ceil(0.95 * waits.length) - 1]!;
  return { aloneMs: median(alone), p95Ms, throughputRatio: median(alone) / median(together) };
}

/** Faces of two steps, questions, previews, clients that go away and jobs that are deleted. */
function mixedRequest(server: Served, i: number): Promise<unknown> {
  const face = { prompt: `${prompts[i % prompts.length]} ${i % 50}`, seed: i, steps: 2, guidance: i % 2 };
  if (i % 20 === 7) return server.leave('images/generations', { ...face, n: 4, steps: 12 }, 'disconnect');
  if (i % 20 === 17) return server.leave('images/generations', { ...face, n: 4, steps: 12 }, 'delete');
  if (i % 10 === 3) return server.ask('images/generations', { ...face, stream: true, partial_images: 1 });
  if (i % 3 === 0) return server.ask('chat/completions', question(photo, { max_tokens: 4, temperature: 1, seed: i }));
  return server.ask('images/generations', face);
}

/** A question about a photo of 13 MB, as JSON. */
function largeQuestion(): Buffer {
  const side = 2100;
  const noise = pixelImage(side, side, new Uint8Array(randomBytes(3 * side * side)));
  const url = `data:image/png;base64,${Buffer.from(encodePng(noise)).toString('base64')}`;
  return Buffer.from(JSON.stringify(question(url, { max_tokens: 1 })));
}

/** Large photos, which each take long to check and decode, and large pictures back. */
function largeRequests(server: Served, asked: Buffer): Promise<number> {
  return byUsers(2 * users, async (i) => {
    if (i % 2 === 0) await server.ask('chat/completions', asked);
    else await server.ask('images/generations', { prompt: '', n: 4, steps: 2, size: '1024x1024', stream: i % 4 === 1 });
  });
}

function worst(figures: readonly ServerFigures[]): ServerFigures {
  const most = (of: (figures: ServerFigures) => number) => Math.max(...figures.map(of));
  return {
    residentMiB: most(({ residentMiB }) => residentMiB),
    loopMaxMs: most(({ loopMaxMs }) => loopMaxMs),
    loopP99Ms: most(({ loopP99Ms }) => loopP99Ms),
  };
}

export async function serveFigures(model: string, requests: number, args: readonly string[]): Promise<ServeFigures> {
  const beganMs = performance.now();
  const say = (what: string) => console.error(`serve: ${((performance.now() - beganMs) / 1000).toFixed(0)} s, ${what}`);
  // before there are connections, which the server would close while this blocks
  const longQuestion = largeQuestion();
  const server = await Served.start(model, args);
  try {
    say('warming up');
    // every graph once, in every thread
    for (let i = 0; i < 2; i++) await server.ask('images/generations', { prompt: prompts[i], steps: 2 });
    await byUsers(3 * users, (i) => server.ask('images/generations', { prompt: prompts[i % 4], seed: i, steps: 12 }));
    await server.figures();
    say('faces, one at a time and by all users');
    const speed = await throughput(server);
    const faces = await server.figures();
    const taken: ServerFigures[] = [];
    let failures = 0;
    say(`${requests} requests`);
    for (let sample = 0; sample < samples; sample++) {
      const first = Math.round((sample * requests) / samples);
      const count = Math.round(((sample + 1) * requests) / samples) - first;
      failures += await byUsers(count, (i) => mixedRequest(server, first + i));
      taken.push(await server.figures());
    }
    const residentMiB = taken.map((figures) => figures.residentMiB);
    const quarter = samples / 4;
    say('large photos and pictures');
    failures += await largeRequests(server, longQuestion);
    const large = await server.figures();
    return {
      model,
      startMs: server.startMs,
      ...speed,
      requests,
      failures,
      residentMiB,
      growthMiB: median(residentMiB.slice(-quarter)) - median(residentMiB.slice(quarter, 2 * quarter)),
      faces,
      mixed: worst(taken),
      large,
      exitCode: await server.close(),
    };
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** A table of what was measured, each beside what it must reach. */
export function serveTable(figures: ServeFigures): string {
  const { residentMiB, growthMiB, faces, mixed, large } = figures;
  const ms = (value: number) => `${value.toFixed(value < 100 ? 1 : 0)} ms`;
  const loop = (what: string, { loopMaxMs, loopP99Ms }: ServerFigures): [string, string, string, boolean] => [
    `event loop blocked at most, ${what}`,
    `${ms(loopMaxMs)} (p99 ${ms(loopP99Ms)})`,
    '50 ms',
    loopMaxMs <= 50,
  ];
  const [early, late] = [residentMiB[Math.floor(samples / 4)]!, residentMiB.at(-1)!];
  const rows: [string, string, string, boolean | null][] = [
    ['ready after', ms(figures.startMs), '', null],
    ['a 12-step face, one at a time', ms(figures.aloneMs), '400 ms', figures.aloneMs <= 400],
    [`p95 of a face, ${users} users`, ms(figures.p95Ms), '3,000 ms', figures.p95Ms <= 3000],
    [
      `throughput of ${users} users, × one at a time`,
      figures.throughputRatio.toFixed(2),
      '2',
      figures.throughputRatio >= 2,
    ],
    loop('12-step faces', faces),
    loop('mixed requests', mixed),
    loop('photos of 13 MB', large),
    [
      `memory over ${figures.requests} requests`,
      `${early.toFixed(0)} → ${late.toFixed(0)} MiB (median of the last quarter − of the second: ${growthMiB.toFixed(1)})`,
      'within 3 %',
      Math.abs(growthMiB) <= 0.03 * early || growthMiB < 0,
    ],
    ['failed requests', String(figures.failures), '0', figures.failures === 0],
    ['exit code of a shutdown', String(figures.exitCode), '0', figures.exitCode === 0],
  ];
  const width = Math.max(...rows.map(([what]) => what.length));
  const lines = rows.map(([what, got, target, reached]) => {
    const verdict = reached === null ? '' : `   target ${target}: ${reached ? 'reached' : 'missed'}`;
    return `  ${what.padEnd(width)}  ${got}${verdict}`;
  });
  return [`serve, ${figures.model}`, ...lines].join('\n');
}

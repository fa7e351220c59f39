import type { AddressInfo } from 'node:net';
import { type ServerType, serve } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { DataError } from '../celeba.ts';
import { attributeTypes } from '../grammar/vocabulary.ts';
import { Assignment } from './assignment.ts';
import { exportRatings, questionsCsv, type RatingsExport, ratingsCsv } from './export-ratings.ts';
import { loopbackHosts, ownHostOnly, refuse, safeHeaders, sameOriginOnly } from './guards.ts';
import { pagePolicy, reviewPage } from './page.ts';
import {
  itemName,
  type Rating,
  type ReviewRecord,
  raterName,
  sentencesOf,
  submissionFault,
  submissionSchema,
} from './rating.ts';
import { RatingsLog } from './ratings-log.ts';

/** Access to the data set by position. */
export interface ReviewRecords {
  count: number;
  record(index: number): Promise<ReviewRecord>;
}

export interface ReviewOptions {
  records: ReviewRecords;
  /** Folder of ratings.jsonl; ratings that are there are gone on from. */
  store: string;
  /** Default 4870; 0 takes a free one. */
  port?: number;
  /** A loopback address. Default 127.0.0.1. */
  host?: string;
  /** Ratings an item is to get, each by another rater. Default 2. */
  ratersPerItem?: number;
  /** Default: all. */
  itemsPerRater?: number;
  /** Of the order of items and of resampling. Default 0. */
  seed?: number;
  /** Attribute types that a rater can name as missing. Default: those of captions and questions. */
  types?: readonly { group: string; type: string }[];
  /** After this time an item that was shown and not rated may go to others. Default 30. */
  holdMinutes?: number;
  nowMs?: () => number;
  /** Told what was passed over at the start, and which requests failed on our side; one line each. */
  onNotice?: (line: string) => void;
}

export interface ReviewServer {
  url: string;
  port: number;
  /** As GET /api/export gives it. */
  export(): RatingsExport;
  /** Lets requests under way finish; all ratings are on the disk. */
  close(): Promise<void>;
}

const defaultPort = 4870;
const maxBodyBytes = 32 * 1024;
const maxRaters = 500;

/**
 * Serves the page where people rate captions against images.
 * @throws DataError for a store that cannot be used, an address that is taken or not loopback, and for numbers out of range.
 */
export async function reviewServer(options: ReviewOptions): Promise<ReviewServer> {
  const { records, store, port = defaultPort, host = '127.0.0.1', onNotice = () => {} } = options;
  if (!loopbackHosts.includes(host))
    throw new DataError(
      `review: expected a loopback host (${loopbackHosts.join(', ')}), got ${host}; try a tunnel, e.g. ssh -L ${port}:127.0.0.1:${port}`,
    );
  requireCount('records', records.count);
  const ratersPerItem = requireCount('ratersPerItem', options.ratersPerItem ?? 2);
  const itemsPerRater = requireCount('itemsPerRater', options.itemsPerRater ?? records.count);
  const { log, ratings, notices } = await RatingsLog.open(store);
  for (const notice of notices) onNotice(notice);
  const review = new Review({ ...options, ratersPerItem, itemsPerRater, onNotice }, log, ratings);
  const app = review.app();
  try {
    const server = await listen(app, host, port);
    const address = server.address() as AddressInfo;
    return {
      url: `http://${host === '::1' ? '[::1]' : host}:${address.port}/`,
      port: address.port,
      export: () => review.export(),
      close: async () => {
        await new Promise<void>((resolve) => {
          server.close(() => resolve());
          if ('closeIdleConnections' in server) server.closeIdleConnections();
        });
        await log.close();
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

function requireCount(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 1) return value;
  throw new DataError(`review: expected ${name} to be an integer of at least 1, got ${value}; try 1 or more`);
}

function listen(app: Hono, host: string, port: number): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, () => resolve(server));
    server.once('error', ({ code, message }: NodeJS.ErrnoException) =>
      reject(
        new DataError(`review: expected port ${port} of ${host} to be free, got ${code ?? message}; try another port`),
      ),
    );
  });
}

type Settled = ReviewOptions & Required<Pick<ReviewOptions, 'ratersPerItem' | 'itemsPerRater' | 'onNotice'>>;

class Review {
  readonly #options: Settled;
  readonly #log: RatingsLog;
  readonly #ratings: Rating[];
  readonly #types: readonly { group: string; type: string }[];
  readonly #typeNames: ReadonlySet<string>;
  readonly #assignment: Assignment;
  readonly #items = new Map<number, string | null>();
  /** Ratings on their way to the disk. */
  readonly #saving = new Set<string>();
  readonly #nowMs: () => number;

  constructor(options: Settled, log: RatingsLog, ratings: Rating[]) {
    this.#options = options;
    this.#log = log;
    this.#ratings = ratings;
    this.#types = options.types ?? attributeTypes;
    this.#typeNames = new Set(this.#types.map(({ type }) => type));
    this.#nowMs = options.nowMs ?? Date.now;
    this.#assignment = new Assignment({
      count: options.records.count,
      ratersPerItem: options.ratersPerItem,
      itemsPerRater: options.itemsPerRater,
      seed: options.seed ?? 0,
      itemAt: (index) => this.#itemAt(index),
      nowMs: this.#nowMs,
      holdMs: 60_000 * (options.holdMinutes ?? 30),
    });
    for (const { rater, item } of ratings) this.#assignment.rated(rater, item);
  }

  app(): Hono {
    const page = reviewPage(this.#types);
    const app = new Hono();
    app.use(safeHeaders(pagePolicy), ownHostOnly);
    app.use('/api/*', sameOriginOnly);
    app.use(
      '/api/*',
      bodyLimit({
        maxSize: maxBodyBytes,
        onError: (context) => {
          // What is left of the body would be read as the next request
          context.header('Connection', 'close');
          return refuse(context, 413, 'size', `review: expected at most ${maxBodyBytes} bytes, got more`);
        },
      }),
    );
    app.get('/', (context) => context.html(page));
    app.get('/api/next', (context) => this.#next(context));
    app.post('/api/rating', (context) => this.#rate(context));
    app.get('/api/progress', (context) => context.json(this.#progress()));
    app.get('/api/export', (context) => this.#export(context));
    app.notFound((context) => refuse(context, 404, 'address', 'review: expected a known address, got another'));
    app.onError((error, context) => {
      this.#options.onNotice(error instanceof DataError ? error.message : `review: ${error.stack ?? error.message}`);
      const message = error instanceof DataError ? error.message : 'review: the server failed; its terminal says why';
      return refuse(context, 500, 'server', message);
    });
    return app;
  }

  export(): RatingsExport {
    return exportRatings(this.#ratings, { seed: this.#options.seed ?? 0, types: [...this.#typeNames] });
  }

  async #itemAt(index: number): Promise<string | null> {
    const known = this.#items.get(index);
    if (known !== undefined) return known;
    const { id, captions } = await this.#options.records.record(index);
    const item = captions[0] === undefined ? null : itemName(id, captions[0]);
    this.#items.set(index, item);
    return item;
  }

  async #next(context: Context): Promise<Response> {
    const rater = raterName(context.req.query('rater') ?? '');
    if (rater === undefined)
      return refuse(context, 400, 'rater', 'Expected a pseudonym of letters and digits, at most 40 characters.');
    if (!this.#assignment.isKnown(rater) && this.#assignment.raters.length >= maxRaters)
      return refuse(context, 403, 'raters', `Expected at most ${maxRaters} raters, got one more.`);
    const next = await this.#assignment.next(rater);
    const { itemsPerRater } = this.#options;
    const rated = this.#assignment.raters.find((entry) => entry.rater === rater)!.ratings;
    if ('done' in next) return context.json({ rater, rated, itemsPerRater, done: next.done });
    const { image, captions } = await this.#options.records.record(next.index);
    return context.json({
      rater,
      rated,
      itemsPerRater,
      item: next.item,
      sentences: sentencesOf(captions[0]!),
      image: `data:image/jpeg;base64,${Buffer.from(image).toString('base64')}`,
    });
  }

  async #rate(context: Context): Promise<Response> {
    const parsed = submissionSchema.safeParse(await context.req.json().catch(() => undefined));
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]!;
      return refuse(context, 400, 'rating', `Expected a rating, got a fault at "${path.join('.')}": ${message}`);
    }
    const { rater: typed, ...judgement } = parsed.data;
    const { item } = judgement;
    const rater = raterName(typed);
    if (rater === undefined || !this.#assignment.isKnown(rater))
      return refuse(context, 403, 'unknown-rater', 'Expected a rater who has asked for an item, got another.');
    const key = `${rater}\n${item}`;
    if (this.#assignment.hasRated(rater, item) || this.#saving.has(key))
      return refuse(context, 409, 'already-rated', 'Expected one rating per rater and item, got a second one.');
    const shown = this.#assignment.shown(rater, item);
    if (!shown) return refuse(context, 409, 'not-shown', 'Expected an item that was shown to this rater, got another.');
    this.#saving.add(key);
    try {
      const record = await this.#options.records.record(shown.index);
      const caption = record.captions[0]!;
      const fault = submissionFault(parsed.data, sentencesOf(caption).length, this.#typeNames);
      if (fault) return refuse(context, 400, 'rating', `Not saved: ${fault}.`);
      const nowMs = this.#nowMs();
      const seconds = Math.max(0, (nowMs - shown.sinceMs) / 1000);
      const time = new Date(nowMs).toISOString();
      const rating: Rating = { version: 1, rater, ...judgement, caption, seconds, time };
      await this.#log.append(rating);
      this.#ratings.push(rating);
      this.#assignment.rated(rater, item);
      return context.json({ saved: true, facts: factsOf(record) }, 201);
    } finally {
      this.#saving.delete(key);
    }
  }

  #progress() {
    const { begun, complete } = this.#assignment.items;
    const { records, ratersPerItem, itemsPerRater } = this.#options;
    return {
      records: records.count,
      ratersPerItem,
      itemsPerRater,
      ratings: this.#ratings.length,
      itemsBegun: begun,
      itemsComplete: complete,
      raters: this.#assignment.raters,
    };
  }

  #export(context: Context): Response {
    const format = context.req.query('format') ?? 'json';
    const table = context.req.query('table') ?? 'ratings';
    const tables: Record<string, (data: RatingsExport) => string> = { ratings: ratingsCsv, questions: questionsCsv };
    const write = Object.hasOwn(tables, table) ? tables[table] : undefined;
    if (!['json', 'csv'].includes(format) || !write)
      return refuse(context, 400, 'export', 'Expected format=json or format=csv, table=ratings or table=questions.');
    const name = format === 'json' ? 'review.json' : `review-${table}.csv`;
    context.header('Content-Disposition', `attachment; filename="${name}"`);
    if (format === 'json') return context.json(this.export());
    return context.body(write(this.export()), 200, { 'Content-Type': 'text/csv; charset=utf-8' });
  }
}

/** Known facts of a face, those it has first. */
function factsOf({ facts, factSources }: ReviewRecord): { name: string; value: boolean; from: string | null }[] {
  return Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ({ name, value, from: factSources[name]?.from ?? null }))
    .sort((a, b) => Number(b.value) - Number(a.value));
}

import { appendFile, readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { itemName } from './rating.ts';
import { logName } from './ratings-log.ts';
import { type ReviewOptions, type ReviewServer, reviewServer } from './review-server.ts';
import { exampleRecord, exampleRecords, raw, submission, temporaryFolder } from './test/review-fixture.ts';

let place: Awaited<ReturnType<typeof temporaryFolder>>;
let server: ReviewServer;
const notices: string[] = [];

async function start(changes: Partial<ReviewOptions> = {}): Promise<void> {
  server = await reviewServer({
    records: exampleRecords(6),
    store: place.folder,
    port: 0,
    onNotice: (line) => notices.push(line),
    ...changes,
  });
}

beforeEach(async () => {
  notices.length = 0;
  place = await temporaryFolder();
  await start();
});
afterEach(async () => {
  await server.close();
  await place.remove();
});

const get = async (path: string) => {
  const reply = await fetch(new URL(path, server.url));
  return { status: reply.status, body: (await reply.json()) as Record<string, unknown> };
};
const next = async (rater: string) => (await get(`/api/next?rater=${encodeURIComponent(rater)}`)).body;
const origin = () => new URL(server.url).origin;
const post = async (body: unknown, headers: Record<string, string> = {}) => {
  const reply = await fetch(new URL('/api/rating', server.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: origin(), ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: reply.status, body: (await reply.json()) as Record<string, unknown> };
};
const lines = async () => (await readFile(join(place.folder, logName), 'utf8')).split('\n').filter(Boolean);

describe('rating', () => {
  test('facts are told only after the rating; the line is on the disk by then', async () => {
    const shown = await next(' Ann ');
    expect(shown).toMatchObject({ rater: 'ann', rated: 0, itemsPerRater: 6 });
    expect(JSON.stringify(shown)).not.toContain('Wearing_Hat');
    const index = [0, 1, 2, 4, 5].find(
      (i) => itemName(exampleRecord(i).id, exampleRecord(i).captions[0]!) === shown.item,
    )!;
    expect((shown.sentences as string[]).join('')).toBe(exampleRecord(index).captions[0]);
    const image = Buffer.from((shown.image as string).replace('data:image/jpeg;base64,', ''), 'base64');
    expect(Uint8Array.from(image)).toEqual(exampleRecord(index).image);

    const wrong = {
      accuracy: 2,
      hallucination: true,
      wrongSentences: [1],
      missing: ['hat'],
      comment: 'naïve "text"\n',
    };
    const { status, body } = await post(submission('ANN', shown.item as string, wrong));
    expect(status).toBe(201);
    expect(body.facts).toEqual([
      { name: 'Smiling', value: true, from: 'label' },
      { name: 'Wearing_Hat', value: false, from: 'classifier' },
    ]);
    expect(JSON.parse((await lines())[0]!)).toMatchObject({ version: 1, rater: 'ann', item: shown.item, ...wrong });
    expect((await get('/api/progress')).body).toEqual({
      records: 6,
      ratersPerItem: 2,
      itemsPerRater: 6,
      ratings: 1,
      itemsBegun: 1,
      itemsComplete: 0,
      raters: [{ rater: 'ann', ratings: 1 }],
    });
  });

  test('two raters meet the same items; a record without caption is passed over; then there is nothing left', async () => {
    const seen: Record<string, unknown[]> = { a: [], b: [] };
    for (const rater of ['a', 'b']) {
      for (let shown = await next(rater); shown.item; shown = await next(rater)) {
        seen[rater]!.push(shown.item);
        expect((await post(submission(rater, shown.item as string))).status).toBe(201);
      }
    }
    expect(seen.a).toHaveLength(5);
    expect(seen.b).toEqual(seen.a);
    expect(await next('a')).toMatchObject({ done: 'all-rated', rated: 5 });
    expect((await get('/api/progress')).body).toMatchObject({ ratings: 10, itemsBegun: 5, itemsComplete: 5 });
  });

  test('after a restart it goes on where it was', async () => {
    const first = await next('a');
    await post(submission('a', first.item as string));
    await server.close();
    await appendFile(join(place.folder, logName), '{"version":1,"rater":"a","it');
    await start();
    expect(notices).toEqual([expect.stringMatching(/unfinished last line of 28 bytes/)]);
    expect((await post(submission('a', first.item as string))).body.code).toBe('already-rated');
    const second = await next('a');
    expect(second).toMatchObject({ rated: 1 });
    expect(second.item).not.toBe(first.item);
    expect((await next('b')).item).toBe(first.item);
    expect((await post(submission('a', second.item as string))).status).toBe(201);
    expect(await lines()).toHaveLength(2);
  });

  test('sent twice at once, it is kept once', async () => {
    const { item } = await next('a');
    const replies = await Promise.all([1, 2, 3].map(() => post(submission('a', item as string))));
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    expect(await lines()).toHaveLength(1);
  });
});

describe('bad input', () => {
  test.each([
    ['accuracy 0', { accuracy: 0 }],
    ['accuracy 6', { accuracy: 6 }],
    ['accuracy 2.5', { accuracy: 2.5 }],
    ['accuracy as text', { accuracy: '3' }],
    ['a sentence that is not there', { hallucination: true, wrongSentences: [9] }],
    ['hallucination without a sentence', { hallucination: true }],
    ['a sentence without hallucination', { wrongSentences: [0] }],
    ['a sentence twice', { hallucination: true, wrongSentences: [0, 0] }],
    ['an unknown attribute type', { missing: ['tail'] }],
    ['a long comment', { comment: 'x'.repeat(2001) }],
    ['a field too many', { admin: true }],
  ])('%s', async (_, changes) => {
    const { item } = await next('a');
    const { status, body } = await post({ ...submission('a', item as string), ...changes });
    expect([status, body.code]).toEqual([400, 'rating']);
    expect(body.error).toMatch(/expected|Expected/);
    expect(await lines()).toEqual([]);
    expect((await post(submission('a', item as string))).status).toBe(201);
  });

  test('text that is no JSON', async () => expect((await post('{')).status).toBe(400));

  test('a rater who never asked, and an item that was not shown', async () => {
    const { item } = await next('a');
    expect(await post(submission('b', item as string))).toMatchObject({ status: 403, body: { code: 'unknown-rater' } });
    expect(await post(submission('a', 'x'))).toMatchObject({ status: 409, body: { code: 'not-shown' } });
  });

  test.each(['', ' ', '-', '<b>', 'a/b', 'a'.repeat(41), 'a\nb\u0000'])('pseudonym %j', async (rater) => {
    expect((await get(`/api/next?rater=${encodeURIComponent(rater)}`)).status).toBe(400);
  });

  test('a huge body, announced or not', async () => {
    const huge = JSON.stringify(submission('a', 'x', { comment: 'x'.repeat(1_000_000) }));
    expect((await post(huge)).status).toBe(413);
    const headers = { 'content-type': 'application/json', origin: origin(), 'transfer-encoding': 'chunked' };
    const chunked = await raw(server.port, '/api/rating', headers, huge).catch(({ code }) => code as string);
    // The connection may be closed before all is sent
    if (typeof chunked === 'string') expect(chunked).toMatch(/ECONNRESET|EPIPE/);
    else expect(chunked.status).toBe(413);
    expect((await next('a')).item).toBeDefined();
  });

  test('unknown addresses and tables', async () => {
    expect((await get('/api/nothing')).status).toBe(404);
    expect((await get('/api/export?format=xml')).status).toBe(400);
    expect((await get('/api/export?format=csv&table=toString')).status).toBe(400);
  });
});

describe('other sites', () => {
  test.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:80', '10.0.0.1'])(
    'host %j is refused everywhere',
    async (host) => {
      for (const path of ['/', '/api/next?rater=a', '/api/export'])
        expect((await raw(server.port, path, { host })).status).toBe(403);
    },
  );

  test('no host at all', async () => {
    const socket = connect(server.port, '127.0.0.1');
    socket.end('GET / HTTP/1.0\r\n\r\n');
    const parts: Buffer[] = [];
    for await (const part of socket) parts.push(part as Buffer);
    expect(Buffer.concat(parts).toString()).toMatch(/^HTTP\/1\.1 40[03] /);
  });

  test.each(['localhost', '127.0.0.1:9', '[::1]:1234'])('host %j is ours', async (host) => {
    expect((await raw(server.port, '/', { host })).status).toBe(200);
  });

  test('a rating must come from the page itself, as JSON', async () => {
    const { item } = await next('a');
    const body = JSON.stringify(submission('a', item as string));
    const json = { 'content-type': 'application/json' };
    const own = { ...json, origin: origin() };
    const refused: [Record<string, string>, number][] = [
      [json, 403],
      [{ ...json, origin: 'http://evil.example' }, 403],
      [{ ...json, origin: 'null' }, 403],
      [{ ...json, origin: origin().replace('http', 'https') }, 403],
      [{ ...json, origin: `http://127.0.0.1:${server.port + 1}` }, 403],
      [{ ...own, 'sec-fetch-site': 'cross-site' }, 403],
      [{ ...own, 'sec-fetch-site': 'same-site' }, 403],
      [{ ...own, 'content-type': 'text/plain' }, 415],
    ];
    for (const [headers, status] of refused)
      expect((await raw(server.port, '/api/rating', headers, body)).status).toBe(status);
    expect(await lines()).toEqual([]);
    expect((await raw(server.port, '/api/rating', { ...own, 'sec-fetch-site': 'same-origin' }, body)).status).toBe(201);
  });

  test('reading from another site joins nobody', async () => {
    const foreign = [{ 'sec-fetch-site': 'cross-site' }, { origin: 'http://evil.example' }];
    for (const headers of foreign) expect((await raw(server.port, '/api/next?rater=spy', headers)).status).toBe(403);
    expect((await raw(server.port, '/api/export', { 'sec-fetch-site': 'none' })).status).toBe(200);
    expect((await get('/api/progress')).body.raters).toEqual([]);
  });

  test('every reply is guarded by headers', async () => {
    for (const path of ['/', '/api/progress', '/nothing']) {
      const { headers } = await raw(server.port, path);
      expect(headers['content-security-policy']).toContain("default-src 'none'");
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
  });
});

describe('export', () => {
  test('JSON and CSV', async () => {
    for (const rater of ['a', 'b']) await post(submission(rater, (await next(rater)).item as string));
    const { body } = await get('/api/export');
    expect(body).toMatchObject({ version: 1, raters: ['a', 'b'], items: [{ raters: 2, accuracyMean: 4 }] });
    expect(body).toEqual(JSON.parse(JSON.stringify(server.export())));
    const csv = await fetch(new URL('/api/export?format=csv', server.url));
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(csv.headers.get('content-disposition')).toBe('attachment; filename="review-ratings.csv"');
    expect((await csv.text()).trimEnd().split('\r\n')).toHaveLength(3);
  });
});

describe('starting', () => {
  test('a host that others can reach, and numbers out of range', async () => {
    const wrong: [Partial<ReviewOptions>, RegExp][] = [
      [{ host: '0.0.0.0' }, /expected a loopback host .*, got 0\.0\.0\.0; try a tunnel/],
      [{ ratersPerItem: 0 }, /expected ratersPerItem to be an integer of at least 1, got 0/],
      [{ itemsPerRater: 1.5 }, /itemsPerRater/],
      [{ records: exampleRecords(0) }, /records/],
    ];
    for (const [changes, message] of wrong)
      await expect(
        reviewServer({ records: exampleRecords(1), store: place.folder, port: 0, ...changes }),
      ).rejects.toThrow(message);
  });

  test('a port that is taken', async () => {
    const other = createServer();
    const port = await new Promise<number>((resolve) =>
      other.listen(0, '127.0.0.1', () => resolve((other.address() as { port: number }).port)),
    );
    await expect(reviewServer({ records: exampleRecords(1), store: place.folder, port })).rejects.toThrow(
      /to be free, got EADDRINUSE; try another port/,
    );
    other.close();
  });

  test('a record that cannot be read is our fault, told in one line', async () => {
    await server.close();
    await start({ records: { count: 1, record: () => Promise.reject(new Error('secret path')) } });
    const { status, body } = await get('/api/next?rater=a');
    expect([status, body.code]).toEqual([500, 'server']);
    expect(body.error).not.toContain('secret');
    expect(notices.at(-1)).toContain('secret path');
  });
});

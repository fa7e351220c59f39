import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Rating, ReviewRecord, Submission } from '../rating.ts';
import type { ReviewRecords } from '../review-server.ts';

export const hostile = '<img src=x onerror=alert(1)>';

export function exampleRecord(index: number): ReviewRecord {
  return {
    id: index.toString(16).padStart(32, '0'),
    image: Uint8Array.of(0xff, 0xd8, index, 0xff, 0xd9),
    captions:
      index === 3 ? [] : [`A man smiles (${index}). He wears a hat. ${hostile} He looks happy.`, 'Another one.'],
    facts: { Smiling: true, Wearing_Hat: false },
    factSources: { Smiling: { from: 'label', probability: 1 }, Wearing_Hat: { from: 'classifier', probability: 0.97 } },
  };
}

/** Record 3 has no caption. */
export const exampleRecords = (count: number): ReviewRecords => ({
  count,
  record: async (index) => exampleRecord(index),
});

export async function temporaryFolder(): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'review-'));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

export function submission(rater: string, item: string, changes: Partial<Submission> = {}): Submission {
  const judgement = { accuracy: 4, hallucination: false, wrongSentences: [], missing: [], comment: '' };
  return { rater, item, ...judgement, ...changes };
}

export function exampleRating(rater: string, item: string, changes: Partial<Rating> = {}): Rating {
  const kept = { version: 1 as const, caption: `Caption of ${item}.`, seconds: 3.5, time: '2026-01-02T03:04:05.000Z' };
  return { ...submission(rater, item), ...kept, ...changes };
}

export interface Reply {
  status: number;
  headers: IncomingMessage['headers'];
  text: string;
}

/** A request with any headers, also those that fetch would not send. */
export function raw(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
  method = body === undefined ? 'GET' : 'POST',
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (reply) => {
      let text = '';
      reply.setEncoding('utf8');
      reply.on('data', (part: string) => {
        text += part;
      });
      reply.on('end', () => resolve({ status: reply.statusCode!, headers: reply.headers, text }));
      reply.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

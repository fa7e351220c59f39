import { afterEach, describe, expect, it } from 'vitest';
import type { FaceToDescribe, RecordQuestion } from '../build/types.ts';
import { LlmEndpoint } from './endpoint.ts';
import type { LlmEvent } from './events.ts';
import { LlmQuestionWriter } from './question-writer.ts';
import { FakeClock, type FakeEndpoint, fakeEndpoint, MemoryStore, shoesQuestion } from './test/fake-endpoint.ts';

const face: FaceToDescribe = {
  id: 'f1',
  facts: { Smiling: true, Wearing_Hat: false, Attractive: true },
  image: () => Promise.reject(new Error('questions do not look at the photo')),
  seed: 1,
};

const smiling: RecordQuestion = {
  kind: 'yes-no',
  topic: 'Smiling',
  question: 'Is the person smiling?',
  answer: 'Yes, the person is smiling.',
  label: 'yes',
  evidence: ['Smiling'],
};

let fake: FakeEndpoint | undefined;
afterEach(async () => fake?.close());

/** Replies in turn; the last one for good. */
async function writer(...replies: RecordQuestion[][]) {
  const events: LlmEvent[] = [];
  fake = await fakeEndpoint({
    answer: () => 'ok',
    content: () => ({ questions: replies.length > 1 ? replies.shift() : replies[0] }),
  });
  const endpoint = new LlmEndpoint({
    baseURL: fake.baseURL,
    apiKey: '',
    model: 'fake',
    store: new MemoryStore(),
    clock: new FakeClock(),
    maxRetries: 1,
    onEvent: (event) => events.push(event),
  });
  return { writer: new LlmQuestionWriter(endpoint), endpoint, events };
}

describe('LlmQuestionWriter', () => {
  it('asks from attributes and captions alone', async () => {
    const { writer: questioner } = await writer([smiling, shoesQuestion]);
    expect(await questioner.questions(face, ['A smiling person.'])).toEqual([smiling, shoesQuestion]);
    const [, user] = fake!.seen[0]!.body.messages;
    expect(user!.content).toContain('- Smiling: yes (label)\n- Wearing_Hat: no (label)');
    expect(user!.content).toContain('["A smiling person."]');
    expect(user!.content).not.toContain('Attractive');
    expect(questioner.version).toMatch(/^llm:fake#questions-v1-[0-9a-f]{8}x8$/);
  });

  it.each<[string, Partial<RecordQuestion>, string]>([
    [
      'evidence that is no attribute of the face',
      { evidence: ['Mustache'] },
      'expected only attributes that are listed',
    ],
    ['evidence that may not be spoken of', { evidence: ['Attractive'] }, 'expected only attributes that are listed'],
    ['no evidence', { evidence: [] }, 'expected at least one of the listed attributes'],
    ['a label that is neither yes nor no', { label: 'maybe' }, 'expected "yes" or "no"'],
    ['an answer against its label', { answer: 'No, the person is not.' }, 'begins with the label'],
    ['a count in words', { kind: 'count', label: 'two' }, 'expected a number in digits'],
    ['evidence for what cannot be known', { kind: 'unanswerable', label: 'unknown' }, 'expected none'],
    ['a judgement of looks', { answer: 'Yes, the beautiful person is.' }, 'must not mention race'],
    ['no question', { question: 'Tell me.' }, 'ends with "?"'],
  ])('has the model correct %s', async (_, change, complaint) => {
    const { writer: questioner, events } = await writer([{ ...smiling, ...change }], [smiling]);
    expect(await questioner.questions(face, [])).toEqual([smiling]);
    expect(events.flatMap((event) => (event.type === 'retry' ? [event.reason] : []))).toEqual(['schema']);
    const told = fake!.seen[1]!.body.messages.at(-1)!.content;
    expect(told).toContain('questions.0.');
    expect(told).toContain(complaint);
  });

  it('gives up a face whose questions stay wrong', async () => {
    const { writer: questioner, endpoint } = await writer([{ ...smiling, evidence: [] }]);
    await expect(questioner.questions(face, [])).rejects.toThrow(
      'questions of face f1: expected questions as JSON, got "schema" (status 200) after 2 attempts',
    );
    expect(endpoint.deadLetters).toHaveLength(1);
  });

  it('takes a face about which nothing is known', async () => {
    const { writer: questioner } = await writer([{ ...smiling, evidence: [] }]);
    expect(await questioner.questions({ ...face, facts: {} }, ['A smiling person.'])).toHaveLength(1);
  });
});

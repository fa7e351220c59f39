import { expect, test } from 'vitest';
import { EventStream } from './event-stream.ts';

async function textOf(stream: EventStream): Promise<string> {
  return new Response(stream.body).text();
}

test('progress that is not read is replaced by newer progress, what must arrive is kept in order', async () => {
  const stream = new EventStream();
  for (let step = 1; step <= 1000; step++) stream.send('step', { step }, 'step');
  stream.send('done', { n: 1 });
  stream.send('done', { n: 2 });
  stream.end();
  expect(await textOf(stream)).toBe(
    'event: step\ndata: {"step":1000}\n\nevent: done\ndata: {"n":1}\n\nevent: done\ndata: {"n":2}\n\n',
  );
});

test('a reader that stalls is given up, one that waits for nothing is not', async () => {
  const stream = new EventStream({ stallMs: 30 });
  await new Promise((resolve) => setTimeout(resolve, 80));
  expect(stream.signal.aborted).toBe(false);
  stream.send(null, 1);
  await new Promise((resolve) => stream.signal.addEventListener('abort', resolve));
  expect(stream.signal.reason).toMatchObject({ name: 'ClientGone' });
});

test('a reader that cancels is told to the producer', async () => {
  const stream = new EventStream();
  await stream.body.cancel();
  expect(stream.signal.aborted).toBe(true);
  stream.send(null, 1);
  stream.end();
});

test('comments keep a quiet stream alive', async () => {
  const stream = new EventStream({ heartbeatMs: 10 });
  const { value } = await stream.body.getReader().read();
  expect(new TextDecoder().decode(value)).toBe(': alive\n\n');
  stream.end();
});

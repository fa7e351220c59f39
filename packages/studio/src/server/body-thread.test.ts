import { randomBytes } from 'node:crypto';
import { encodePng, pixelImage } from '@unif2ace/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BodyThread } from './body-thread.ts';

const noise = (side: number) => encodePng(pixelImage(side, side, new Uint8Array(randomBytes(3 * side * side))));
const url = (bytes: Uint8Array, type = 'image/png') => `data:${type};base64,${Buffer.from(bytes).toString('base64')}`;
const bodyOf = (document: unknown) => new Uint8Array(Buffer.from(JSON.stringify(document)));

let bodies: BodyThread;
beforeAll(() => {
  bodies = new BodyThread();
});
afterAll(() => bodies.close());

describe('documents', () => {
  test('long pictures come as bytes, everything else as it was', async () => {
    const [large, small] = [noise(90), noise(2)];
    const [pictures, rest] = [{ a: [{ url: url(large) }, url(small)] }, { text: 'ä😀', n: 1, no: null }];
    const read = (await bodies.json(bodyOf({ ...pictures, ...rest }))) as typeof pictures & typeof rest;
    expect(read).toEqual({ a: [{ url: new Uint8Array(large) }, url(small)], ...rest });
  });

  test('what is no picture stays as it is, for whoever reads it to refuse', async () => {
    const wrong = { messages: [{ image: url(noise(90), 'image/jpeg') }, `data:${'?'.repeat(70_000)}`] };
    expect(await bodies.json(bodyOf(wrong))).toEqual(wrong);
  });

  test.each([1, 2, 4096, 4097])(
    'of too many parts are refused, %i backslashes before a quote notwithstanding',
    async (slashes) => {
      const quote = slashes % 2 === 1 ? '""' : '"';
      const body = `["${'\\'.repeat(slashes)}${quote}${',[]'.repeat(100_000)}]`;
      expect(JSON.parse(body)).toHaveLength(100_001);
      await expect(bodies.json(new Uint8Array(Buffer.from(body)))).rejects.toMatchObject({
        status: 400,
        message: 'expected a small JSON document, got one of too many parts',
      });
    },
  );

  test('nested more deeply than messages between threads can be are refused', async () => {
    const nested = (levels: number) => new Uint8Array(Buffer.from('['.repeat(levels) + ']'.repeat(levels)));
    await expect(bodies.json(nested(30_000))).rejects.toMatchObject({ status: 400, code: 'invalid_json' });
    expect(await bodies.json(nested(60))).toHaveLength(1);
  });

  test('no JSON', async () => {
    await expect(bodies.json(new Uint8Array(Buffer.from('{"a":1')))).rejects.toMatchObject({ code: 'invalid_json' });
  });
});

test('a form', async () => {
  const picture = noise(40);
  const form = new FormData();
  form.set('prompt', 'a smile');
  form.set('image', new Blob([new Uint8Array(picture)]), 'a.png');
  const sent = new Response(form);
  const body = new Uint8Array(await sent.arrayBuffer());
  const read = await bodies.form(body, sent.headers.get('content-type')!);
  expect({ ...read.fields }).toEqual({ prompt: 'a smile' });
  expect(Buffer.compare(read.files.image!, picture)).toBe(0);
});

test('a picture is spelled out as base64', async () => {
  const bytes = new Uint8Array(randomBytes(1000));
  const spelled = await bodies.base64(bytes.slice());
  expect(Buffer.from(Buffer.from(spelled).toString('latin1'), 'base64')).toEqual(Buffer.from(bytes));
  await bodies.base64(bytes);
  await expect(bodies.base64(bytes)).rejects.toThrow('expected a picture, got no bytes');
});

test('photos are reduced; what is no photo is refused', async () => {
  const photo = await bodies.photo(noise(1500), 'image');
  expect(photo).toMatchObject({ width: 1280, height: 1280, upright: { width: 1500, height: 1500 } });
  expect(photo.data).toHaveLength(3 * 1280 * 1280);
  await expect(bodies.photo(new Uint8Array(99), 'image')).rejects.toMatchObject({ status: 400, param: 'image' });
});

test('when the thread dies, what it did fails, and another one takes its place', async () => {
  const dying = new BodyThread();
  const lost = expect(dying.photo(noise(1500), 'image')).rejects.toThrow('the thread ended');
  await dying.close();
  await lost;
  expect(await dying.photo(noise(20), 'image')).toMatchObject({ width: 20, height: 20 });
  await dying.close();
});

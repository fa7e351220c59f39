import { parentPort } from 'node:worker_threads';
import type { PixelImage } from '@unif2ace/core';
import type { BodyReply, BodyWork } from './body-thread.ts';
import { ApiError } from './errors.ts';
import { parseForm, parseJson } from './parse-body.ts';
import { decodeMask, decodePhoto } from './pictures.ts';

// Entry of the thread that reads large bodies, decodes photos and spells out pictures.

/** A picture in a buffer of its own, which can be handed over. */
function movable<P extends PixelImage>(picture: P, moved: ArrayBuffer[]): P {
  const data = new Uint8Array(picture.data);
  moved.push(data.buffer);
  return { ...picture, data };
}

async function done(work: BodyWork, moved: ArrayBuffer[]) {
  switch (work.kind) {
    case 'json': {
      const { document, pictures } = parseJson(work.body);
      moved.push(...pictures.map(({ buffer }) => buffer));
      return document;
    }
    case 'form': {
      const form = await parseForm(work.body, work.type);
      moved.push(...Object.values(form.files).map(({ buffer }) => buffer));
      return form;
    }
    case 'photo':
      return movable(await decodePhoto(work.bytes, work), moved);
    case 'mask':
      return movable(await decodeMask(work.bytes, work.photo), moved);
    case 'base64': {
      const spelled = new Uint8Array(Buffer.from(Buffer.from(work.bytes).toString('base64'), 'latin1'));
      moved.push(spelled.buffer);
      return spelled;
    }
  }
}

async function reply(id: number, work: BodyWork, moved: ArrayBuffer[]): Promise<BodyReply> {
  try {
    return { id, result: (await done(work, moved)) as never };
  } catch (error) {
    if (!(error instanceof ApiError))
      return { id, failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    const { status, code, message, param } = error;
    return { id, refused: { status, code, message, param } };
  }
}

parentPort!.on('message', ({ id, work }: { id: number; work: BodyWork }) => {
  const moved: ArrayBuffer[] = [];
  void reply(id, work, moved).then((message) => parentPort!.postMessage(message, moved));
});

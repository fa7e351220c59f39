import { parentPort } from 'node:worker_threads';
import { ApiError } from './errors.ts';
import { parseForm, parseJson } from './parse-body.ts';
import { decodeMask, decodePhoto } from './pictures.ts';
import type { UploadReply, UploadWork } from './upload-thread.ts';

// Entry of the thread that reads large bodies and decodes photos.

async function done(work: UploadWork, moved: ArrayBuffer[]) {
  switch (work.kind) {
    case 'json': {
      const { document, pictures } = parseJson(work.body);
      moved.push(...pictures.map(({ buffer }) => buffer));
      return document;
    }
    case 'form':
      return parseForm(work.body, work.type);
    case 'photo':
      return decodePhoto(work.bytes, work);
    case 'mask':
      return decodeMask(work.bytes, work.photo);
  }
}

async function reply(id: number, work: UploadWork, moved: ArrayBuffer[]): Promise<UploadReply> {
  try {
    return { id, result: (await done(work, moved)) as never };
  } catch (error) {
    if (!(error instanceof ApiError))
      return { id, failed: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    const { status, code, message, param } = error;
    return { id, refused: { status, code, message, param } };
  }
}

parentPort!.on('message', ({ id, work }: { id: number; work: UploadWork }) => {
  const moved: ArrayBuffer[] = [];
  void reply(id, work, moved).then((message) => parentPort!.postMessage(message, moved));
});

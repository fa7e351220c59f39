import type { BoxRegion } from '@unif2ace/core';
import type { LocalEngine } from '../../server/local-engine.ts';
import { openEngine, predict } from './model.ts';
import { type DecodedPhoto, decodePhoto } from './photo.ts';
import type { CallName, Calls, FromWorker, PageRegion, ToWorker } from './protocol.ts';

// Entry of the page's worker: model, face search and pictures, so that the page stays responsive.

type Call = Exclude<ToWorker, { kind: 'abort' }>;

let engine: LocalEngine | undefined;
const running = new Map<number, AbortController>();
/** Calls run one after the other. */
let last: Promise<unknown> = Promise.resolve();

function send(message: FromWorker): void {
  self.postMessage(message);
}

async function regionOf(region: PageRegion, { photo, width }: DecodedPhoto) {
  if (typeof region === 'string') return region;
  if (region instanceof Blob) return (await decodePhoto(region)).photo;
  const scale = photo.width / width;
  const { x, y, width: w, height: h } = region as BoxRegion;
  return { x: x * scale, y: y * scale, width: w * scale, height: h * scale };
}

async function run(call: Call, signal: AbortSignal): Promise<Calls[CallName]['result']> {
  const { id } = call;
  if (call.kind === 'predict') return predict(call.request.addresses, call.request.device);
  if (call.kind === 'load') {
    const { addresses, device } = call.request;
    const opened = await openEngine(addresses, device, {
      onProgress: (progress) => send({ kind: 'progress', id, progress }),
      onFallback: (to, reason) => send({ kind: 'device', device: to, reason }),
    });
    engine = opened.engine;
    return { info: engine.info, reason: opened.reason };
  }
  const onStep = (step: Extract<FromWorker, { kind: 'step' }>['step']) => send({ kind: 'step', id, step });
  if (call.kind === 'generate') return engine!.generate(call.request, { signal, onStep });
  const { picture, ...request } = call.request;
  const decoded = picture && (await decodePhoto(picture));
  signal.throwIfAborted();
  if (call.kind === 'routing') {
    const made = decoded && { photo: decoded.photo, face: 'aligned' as const };
    return engine!.routing({ ...call.request, picture: made }, { signal });
  }
  const { photo, width, height } = decoded!;
  if (call.kind === 'edit') {
    const region = await regionOf(call.request.region, decoded!);
    return engine!.edit({ ...call.request, photo, region }, { signal, onStep });
  }
  if (call.kind === 'ask')
    return engine!.ask({ ...call.request, photo }, { signal, onText: (piece) => send({ kind: 'text', id, piece }) });
  const found = await engine!.faces({ ...(request as { face: number | 'aligned' }), photo }, { signal });
  const scale = width / photo.width;
  const faces = found.faces.map((face) => {
    const { x, y, width: w, height: h } = face.box;
    return { ...face, box: { x: x * scale, y: y * scale, width: w * scale, height: h * scale } };
  });
  return { ...found, faces, width, height };
}

self.onmessage = ({ data: message }: MessageEvent<ToWorker>) => {
  if (message.kind === 'abort') {
    running.get(message.id)?.abort();
    return;
  }
  const { id } = message;
  const controller = new AbortController();
  running.set(id, controller);
  last = last
    .then(() => {
      controller.signal.throwIfAborted();
      return run(message, controller.signal);
    })
    .then((result) => send({ kind: 'done', id, result }))
    .catch((error: unknown) =>
      send({ kind: 'failed', id, message: error instanceof Error ? error.message : `${error}` }),
    )
    .finally(() => running.delete(id));
};

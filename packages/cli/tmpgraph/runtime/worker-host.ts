import { parentPort } from 'node:worker_threads';
import { directRuntime } from './node-direct.ts';
import type { Session } from './session.ts';
import type { WorkerReply, WorkerRequest } from './worker-protocol.ts';

// Entry of the worker thread: runs sessions one request after the other.

const runtime = directRuntime();
const sessions = new Map<number, Session>();
let nextSession = 0;

function keep(session: Session): WorkerReply {
  const id = nextSession++;
  sessions.set(id, session);
  return { kind: 'session', session: id, inputNames: session.inputNames, outputNames: session.outputNames };
}

async function answer(request: WorkerRequest): Promise<WorkerReply> {
  switch (request.kind) {
    case 'create':
      return keep(await runtime.createSession(request.model, request.options));
    case 'load':
      return keep(await runtime.loadSession(request.bytes, request.options));
    case 'run':
      return { kind: 'values', values: await sessions.get(request.session)!.run(request.feeds, request.fetches) };
    case 'release':
      await sessions.get(request.session)?.release();
      sessions.delete(request.session);
      return { kind: 'done' };
  }
}

let queue = Promise.resolve();
parentPort!.on('message', ({ id, request }: { id: number; request: WorkerRequest }) => {
  queue = queue.then(async () => {
    const reply = await answer(request).catch((error): WorkerReply => ({ kind: 'error', message: error.message }));
    parentPort!.postMessage({ id, reply });
  });
});

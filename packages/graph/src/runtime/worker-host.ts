import { parentPort, workerData } from 'node:worker_threads';
import { directRuntime } from './node-direct.ts';
import { type Session, SessionError } from './session.ts';
import { LocalStates } from './states.ts';
import type { WorkerReply, WorkerRequest, WorkerStart } from './worker-protocol.ts';

// Entry of the worker thread: runs sessions one request after the other.

const { closing } = workerData as WorkerStart;
const runtime = directRuntime();
const states = new LocalStates();
const sessions = new Map<number, Session>();
let nextSession = 0;

function keep(session: Session): WorkerReply {
  const id = nextSession++;
  sessions.set(id, session);
  return { kind: 'session', session: id, inputNames: session.inputNames, outputNames: session.outputNames };
}

function opened(id: number): Session {
  const session = sessions.get(id);
  if (!session) throw new SessionError('run: the session was released; create another');
  return session;
}

async function answer(request: WorkerRequest): Promise<WorkerReply> {
  switch (request.kind) {
    case 'create':
      return keep(await runtime.createSession(request.model, request.options));
    case 'load':
      return keep(await runtime.loadSession(request.file, request.options));
    case 'run':
      return { kind: 'values', values: await opened(request.session).run(request.feeds, request.fetches) };
    case 'createState':
      states.put(request.id, request.shapes);
      return { kind: 'done' };
    case 'cloneState':
      states.putClone(request.id, request.from);
      return { kind: 'done' };
    case 'freeState':
      states.free(request.id);
      return { kind: 'done' };
    case 'runStates':
      return { kind: 'values', values: await states.run(opened(request.session), request.request) };
    case 'release':
      await sessions.get(request.session)?.release();
      sessions.delete(request.session);
      return { kind: 'done' };
    case 'close':
      for (const session of sessions.values()) await session.release();
      await runtime.close();
      parentPort!.close();
      return { kind: 'done' };
  }
}

// a request that cannot be read would leave its caller waiting: end the thread, which rejects all that is pending
parentPort!.on('messageerror', (error) => {
  throw error;
});

let queue = Promise.resolve();
parentPort!.on('message', ({ id, request }: { id: number; request: WorkerRequest }) => {
  queue = queue.then(async () => {
    if (Atomics.load(closing, 0) === 1 && request.kind !== 'close') return;
    const reply = await answer(request).catch((error): WorkerReply => ({ kind: 'error', message: error.message }));
    // the engine returns fresh arrays, so they can be moved instead of copied
    const moved = reply.kind === 'values' ? Object.values(reply.values).map(({ data }) => data.buffer) : [];
    parentPort!.postMessage({ id, reply }, [...new Set(moved)] as ArrayBuffer[]);
  });
});

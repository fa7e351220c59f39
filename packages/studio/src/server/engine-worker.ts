import { platform, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { loadAttributeClassifier, loadModel, openFaceDetector } from '@unif2ace/core/node';
import { directRuntime } from '@unif2ace/graph/node';
import { EngineRefusal } from './engine.ts';
import type { CallKind, EngineSetup, FromThread, ResultOf, ToThread } from './engine-protocol.ts';
import { LocalEngine } from './local-engine.ts';

// Entry of an engine's thread: model, face search, sampling and PNG encoding, so that the server's event loop is free. Calls
// overlap: a run of the network blocks this thread, between two runs it takes messages.

const modelNiceness = 5;
// Linux keeps a priority for each thread: one busy with the model gives way to the event loop; elsewhere it is the whole process's
if (platform() === 'linux') setPriority(modelNiceness);

const { model: folder, attributes, device, coresEach } = workerData as EngineSetup;
const model = await loadModel(folder);
const classifier = attributes === null ? null : await loadAttributeClassifier(attributes);
const engines = new Map<number | null, LocalEngine>();
const running = new Map<number, { controller: AbortController; ended: Promise<void> }>();

/** The engine on so many cores; its graphs are built when first needed. */
function engineOn(cores: number | null): LocalEngine {
  const known = engines.get(cores);
  if (known) return known;
  const runtime = directRuntime({ device, ...(cores !== null && { intraOpThreads: cores }) });
  const engine = new LocalEngine(model, classifier, runtime, openFaceDetector);
  engines.set(cores, engine);
  return engine;
}

function send(message: FromThread): void {
  parentPort!.postMessage(message);
}

type CallMessage = Exclude<ToThread, { kind: 'abort' | 'close' }>;

function call(message: CallMessage, signal: AbortSignal): Promise<ResultOf<CallKind>> {
  const { id } = message;
  const engine = engineOn(message.alone ? null : coresEach);
  switch (message.kind) {
    case 'generate':
      return engine.generate(message.request, { signal, onStep: (step) => send({ kind: 'step', id, step }) });
    case 'edit':
      return engine.edit(message.request, { signal, onStep: (step) => send({ kind: 'step', id, step }) });
    case 'ask':
      return engine.ask(message.request, { signal, onText: (piece) => send({ kind: 'text', id, piece }) });
    case 'faces':
      return engine.faces(message.request, { signal });
    case 'routing':
      return engine.routing(message.request, { signal });
  }
}

async function serve(message: CallMessage, signal: AbortSignal): Promise<void> {
  const { id } = message;
  try {
    send({ kind: 'done', id, result: await call(message, signal) });
  } catch (error) {
    if (signal.aborted) send({ kind: 'aborted', id });
    else if (error instanceof EngineRefusal) send({ kind: 'refused', id, code: error.code, message: error.message });
    else send({ kind: 'failed', id, message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  } finally {
    running.delete(id);
  }
}

async function close(): Promise<void> {
  const under = [...running.values()];
  for (const { controller } of under) controller.abort();
  await Promise.all(under.map(({ ended }) => ended));
  for (const engine of engines.values()) await engine.close();
  parentPort!.close();
}

parentPort!.on('message', (message: ToThread) => {
  if (message.kind === 'abort') running.get(message.id)?.controller.abort();
  else if (message.kind === 'close') void close();
  else {
    const controller = new AbortController();
    // in a microtask of its own, so that it is noted as running before it can end
    const ended = Promise.resolve().then(() => serve(message, controller.signal));
    running.set(message.id, { controller, ended });
  }
});

send({ kind: 'ready', device });

import { collect, UniF2ace } from '@unif2ace/core';

// Every call takes an AbortSignal; it ends between two steps.

const model = await UniF2ace.load('pico', {
  device: 'auto',
  onDevice: (device, reason) => console.log(`device: ${device} (${reason})`),
});
const stop = new AbortController();
const run = model.generate('a man with a beard', { steps: 500, signal: stop.signal });
await run.next();
stop.abort(new Error('the user left'));
await collect(run).catch((error: Error) => console.log(`stopped: ${error.message}`));
await model.close();

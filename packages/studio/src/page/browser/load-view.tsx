import { signal } from '@preact/signals';
import type { LoadProgress } from '@unif2ace/core';
import { render } from 'preact';
import { oneLine } from '../state/runner.ts';
import type { BrowserEngine } from './browser-engine.ts';
import type { Prediction, WantedDevice } from './protocol.ts';

const devices: readonly (readonly [WantedDevice, string])[] = [
  ['cpu', 'Processor (WebAssembly)'],
  ['webgpu', 'Graphics card (WebGPU)'],
];

function megabytes(bytes: number): string {
  return `${Math.max(1, Math.round(bytes / 1e6))} MB`;
}

function downloadText({ downloadBytes, cachedBytes }: Prediction): string {
  if (downloadBytes === 0) return `nothing, ${megabytes(cachedBytes)} are kept from the last time`;
  const size = downloadBytes === null ? 'of unknown size' : megabytes(downloadBytes);
  return cachedBytes > 0
    ? `${size}, ${megabytes(cachedBytes)} are kept from the last time`
    : `${size}, kept for the next time`;
}

/** What loading takes, before anything large is loaded; resolves when the model is ready. */
export function loadWithConsent(engine: BrowserEngine, root: HTMLElement): Promise<void> {
  const device = signal<WantedDevice>('cpu');
  const prediction = signal<Prediction | undefined>(undefined);
  const progress = signal<LoadProgress | 'starting' | undefined>(undefined);
  const problem = signal('');

  const predict = async () => {
    const wanted = device.value;
    prediction.value = undefined;
    try {
      const found = await engine.predict(wanted);
      if (device.value === wanted) prediction.value = found;
    } catch (error) {
      problem.value = oneLine(error);
    }
  };

  return new Promise((resolve) => {
    const load = async () => {
      problem.value = '';
      progress.value = 'starting';
      try {
        await engine.load(device.value, (now) => {
          progress.value = now;
        });
        resolve();
      } catch (error) {
        problem.value = oneLine(error);
        progress.value = undefined;
      }
    };

    function LoadView() {
      const known = prediction.value;
      const now = progress.value;
      return (
        <main class="alone">
          <h1>UniF²ace Studio</h1>
          <p>The model runs in this page. Words and photos never leave it.</p>
          <fieldset disabled={now !== undefined}>
            <legend>Computes on</legend>
            {devices.map(([name, label]) => (
              <label key={name}>
                <input
                  type="radio"
                  name="device"
                  checked={device.value === name}
                  onChange={() => {
                    device.value = name;
                    void predict();
                  }}
                />{' '}
                {label}{' '}
              </label>
            ))}
          </fieldset>
          <p id="cost">
            {known
              ? `To download: ${downloadText(known)}. Memory: about ${megabytes(known.memoryBytes)}. ${
                  crossOriginIsolated
                    ? `Threads: ${navigator.hardwareConcurrency}.`
                    : 'One thread: this page is not isolated.'
                }`
              : 'Asking for the size of the model…'}
          </p>
          {now === undefined ? (
            <button type="button" class="primary" aria-describedby="cost" onClick={() => void load()}>
              Load the model
            </button>
          ) : (
            <Progress now={now} />
          )}
          <p role="alert" class="problem">
            {problem.value}
          </p>
        </main>
      );
    }
    render(<LoadView />, root);
    void predict();
  });
}

function Progress({ now }: { now: LoadProgress | 'starting' }) {
  const { loadedBytes, totalBytes } = now === 'starting' ? { loadedBytes: 0, totalBytes: null } : now;
  const whole = totalBytes !== null && loadedBytes >= totalBytes;
  return (
    <>
      <progress aria-label="Loading" {...(totalBytes !== null && { value: loadedBytes, max: totalBytes })} />
      <p>{whole ? 'Starting the engine…' : `Loading, ${megabytes(loadedBytes)}`}</p>
    </>
  );
}

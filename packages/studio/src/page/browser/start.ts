import { start } from '../start.tsx';
import { BrowserEngine } from './browser-engine.ts';
import { loadWithConsent } from './load-view.tsx';

/** The page without a server: the model beside it is loaded into a worker, once the reader agrees to its size. */
export async function startInBrowser(root: HTMLElement): Promise<void> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  const below = (folder: string) => new URL(`weights/${folder}/`, document.baseURI).href;
  const engine = new BrowserEngine(worker, {
    model: below('model'),
    attributes: below('attributes'),
    faces: below('faces'),
  });
  await loadWithConsent(engine, root);
  await start(engine, root);
}

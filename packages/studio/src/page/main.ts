import { HttpEngine } from './http-engine.ts';
import { start } from './start.tsx';

const root = document.getElementById('studio')!;

// known when the page is built: the model in it, or on its server
if (import.meta.env.MODE === 'static') void import('./browser/start.ts').then((it) => it.startInBrowser(root));
else void start(new HttpEngine(document.baseURI), root);

import { HttpEngine } from './http-engine.ts';
import { start } from './start.tsx';

await start(new HttpEngine(document.baseURI), document.getElementById('studio')!);

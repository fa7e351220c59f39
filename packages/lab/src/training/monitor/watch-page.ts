import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { escapeHtml } from '../../data/stats/escape-html.ts';
import { watchScript } from './watch-script.ts';
import { watchStyle } from './watch-style.ts';

const require = createRequire(import.meta.url);
const uplotFolder = dirname(require.resolve('uplot'));
const plotScript = readFileSync(join(uplotFolder, 'uPlot.iife.min.js'), 'utf8');
const plotStyle = readFileSync(join(uplotFolder, 'uPlot.min.css'), 'utf8');

const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Nothing but the page's own scripts and styles runs, and nothing comes from elsewhere. */
export const watchPolicy = [
  "default-src 'none'",
  `script-src ${hash(plotScript)} ${hash(watchScript)}`,
  `style-src ${hash(plotStyle)} ${hash(watchStyle)}`,
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The live page of a run: one file. */
export function watchPage(name: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(name)}: training</title>
<link rel="icon" href="data:,">
<style>${plotStyle}</style>
<style>${watchStyle}</style>
</head>
<body>
<header>
<h1>Training <span>${escapeHtml(name)}</span></h1>
<p id="state" role="status" aria-live="polite">Waiting for the first step.</p>
</header>
<main>
<section id="now" aria-label="Now">
<progress id="bar" max="1" value="0" aria-label="Share of the stage that is done"></progress>
<dl id="figures"></dl>
</section>
<div id="alarms" role="alert" hidden></div>
<section aria-labelledby="curves-title">
<div class="heading"><h2 id="curves-title">Curves</h2>
<label>Stage <select id="stage"></select></label>
<label><input type="checkbox" id="smooth"> smooth</label></div>
<p class="note">A curve takes the focus; arrow keys move along it.</p>
<div id="curves"></div>
</section>
<section aria-labelledby="samples-title">
<div class="heading"><h2 id="samples-title">Samples</h2>
<label class="wide">Step <input type="range" id="sample" min="0" max="0" value="0"></label></div>
<figure id="sample-figure" hidden><div id="sample-grid"><img id="sample-image" alt=""><ol id="sample-prompts"></ol></div><figcaption id="sample-caption"></figcaption></figure>
<p class="note" id="no-samples">None yet: they come while the backbone is trained.</p>
</section>
<section aria-labelledby="answers-title" id="answers" hidden>
<h2 id="answers-title">Answers</h2>
<p class="note" id="answers-note"></p>
<div class="scroll" tabindex="0" role="region" aria-label="Answers"><table><thead><tr><th scope="col">Face</th><th scope="col">Question</th><th scope="col">Answer</th><th scope="col">Labels say</th></tr></thead><tbody id="answer-rows"></tbody></table></div>
</section>
<section aria-labelledby="routing-title" id="routing" hidden>
<div class="heading"><h2 id="routing-title">Routing</h2><label>Router <select id="router"></select></label></div>
<p class="note">How often an expert is chosen, as a multiple of its fair share: 0 is never, 1 is fair.</p>
<p id="scale" aria-hidden="true"></p>
<div class="scroll" tabindex="0" role="region" aria-label="Load of each expert by layer"><table id="loads"></table></div>
<h3>Over time</h3>
<div id="heat"></div>
<h3>Entropy of the loads</h3>
<div id="entropy"></div>
</section>
<section aria-labelledby="notes-title"><h2 id="notes-title">Log</h2><div class="scroll log" tabindex="0" role="region" aria-label="Log"><ol id="notes"></ol></div></section>
<noscript>This page needs JavaScript.</noscript>
</main>
<script>${plotScript}</script>
<script>${watchScript}</script>
</body>
</html>
`;
}

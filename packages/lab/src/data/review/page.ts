import { createHash } from 'node:crypto';
import { escapeHtml } from '../stats/escape-html.ts';
import { pageScript } from './page-script.ts';
import { pageStyle } from './page-style.ts';
import { maxCommentCharacters } from './rating.ts';

const accuracyWords = ['wrong', 'mostly wrong', 'half right', 'mostly right', 'right'];

const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Nothing but the page's own script and style runs; images come as data. */
export const pagePolicy = [
  "default-src 'none'",
  `script-src ${hash(pageScript)}`,
  `style-src ${hash(pageStyle)}`,
  'img-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The page for raters: one file, no build step. @param types attribute types by group. */
export function reviewPage(types: readonly { group: string; type: string }[]): string {
  const groups = [...new Set(types.map(({ group }) => group))];
  const choice = (name: string, kind: 'radio' | 'checkbox', value: string, text: string) =>
    `<label><input type="${kind}" name="${name}" value="${escapeHtml(value)}">${text}</label>`;
  const missing = groups.map((group) => {
    const boxes = types
      .filter((entry) => entry.group === group)
      .map(({ type }) => choice('missing', 'checkbox', type, escapeHtml(type)));
    return `<div role="group" aria-label="${escapeHtml(group)}"><p class="group">${escapeHtml(group)}</p><div class="choices small">${boxes.join('')}</div></div>`;
  });
  const accuracy = accuracyWords.map((words, index) =>
    choice('accuracy', 'radio', `${index + 1}`, `<kbd>${index + 1}</kbd> ${words}`),
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Review of captions</title>
<link rel="icon" href="data:,">
<style>${pageStyle}</style>
</head>
<body>
<header><h1>Review of captions</h1><p id="progress"></p></header>
<main>
<p id="message" role="status" aria-live="polite"></p>
<section id="join" class="card">
<h2><label for="rater">Your pseudonym</label></h2>
<input type="text" id="rater" maxlength="40" autocomplete="off" spellcheck="false">
<p class="note">Letters and digits. The same one brings you back to where you were; do not use your name.</p>
<button type="button" id="join-button">Begin</button>
</section>
<div id="work" hidden>
<div class="photo"><img id="face" alt="The face that the caption describes"></div>
<div>
<section class="card" id="caption">
<h2 id="caption-title" tabindex="-1">Caption</h2>
<div id="sentences"></div>
<p class="note" id="mark-hint" hidden>Mark every sentence that says what the image does not show.</p>
</section>
<form class="card" id="form">
<fieldset><legend>How accurate is the caption?</legend><div class="choices">${accuracy.join('')}</div></fieldset>
<fieldset><legend>Does it say what the image does not show?</legend><div class="choices">
${choice('hallucination', 'radio', 'yes', '<kbd>y</kbd> yes')}${choice('hallucination', 'radio', 'no', '<kbd>n</kbd> no')}
</div></fieldset>
<fieldset><legend>What does it leave out?</legend><details><summary>Choose what the image shows and the caption lacks</summary>${missing.join('')}</details></fieldset>
<fieldset><legend><label for="comment">Comment</label></legend><textarea id="comment" rows="2" maxlength="${maxCommentCharacters}"></textarea></fieldset>
<button type="button" id="submit">Save <kbd>Enter</kbd></button>
</form>
<section class="card" id="facts" hidden>
<h2>Known to be so</h2><ul class="facts" id="present"></ul>
<h2>Known not to be so</h2><ul class="facts" id="absent"></ul>
<button type="button" id="next">Next <kbd>Enter</kbd></button>
</section>
</div>
</div>
<noscript>This page needs JavaScript.</noscript>
</main>
<script>${pageScript}</script>
</body>
</html>
`;
}

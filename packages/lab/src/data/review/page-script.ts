/** Script of the page for raters: plain JavaScript for the browser. Texts are only ever set as text, never as HTML. */
export const pageScript = `
'use strict';
const byId = (id) => document.getElementById(id);
const inputs = (name) => Array.from(document.querySelectorAll('input[name="' + name + '"]'));
// Without y and n, which answer the question on hallucination
const sentenceKeys = 'abcdefghijklm';
const storageName = 'review-rater';
let rater = '';
let item = null;
let phase = 'join';
let busy = false;

function show(next) {
  phase = next;
  byId('join').hidden = next !== 'join';
  byId('work').hidden = next !== 'rate' && next !== 'facts';
  byId('form').hidden = next !== 'rate';
  byId('facts').hidden = next !== 'facts';
}

function say(text, isFault) {
  byId('message').textContent = text;
  byId('message').className = isFault ? 'fault' : '';
}

async function request(path, body) {
  let reply;
  try {
    reply = await fetch(path, body === undefined ? {} : {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  } catch {
    throw Object.assign(new Error('The server does not answer. Nothing is lost: try again.'), { code: 'network' });
  }
  const result = await reply.json().catch(() => ({ error: 'The server gave no readable answer.' }));
  if (!reply.ok) throw Object.assign(new Error(result.error), { code: result.code });
  return result;
}

const nextItem = () => request('/api/next?rater=' + encodeURIComponent(rater));

const endings = {
  limit: 'You have rated all of your items. Thank you.',
  'all-rated': 'Nothing is left for you to rate. Thank you.',
  waiting: 'What is left is with other raters now. Load the page again later.',
};

function showItem(reply) {
  byId('progress').textContent = reply.rated + ' of at most ' + reply.itemsPerRater + ' rated by ' + reply.rater;
  if (reply.done) {
    item = null;
    show('done');
    say(endings[reply.done], false);
    return;
  }
  item = reply;
  byId('face').src = reply.image;
  byId('comment').value = '';
  for (const name of ['accuracy', 'hallucination', 'missing']) for (const input of inputs(name)) input.checked = false;
  const lines = reply.sentences.map((sentence, index) => {
    const label = document.createElement('label');
    const box = document.createElement('input');
    box.type = 'checkbox';
    box.name = 'sentence';
    box.value = String(index);
    box.addEventListener('change', draw);
    const key = document.createElement('kbd');
    key.textContent = sentenceKeys[index] || '';
    const text = document.createElement('span');
    text.textContent = ' ' + sentence.trim();
    label.append(box, ' ', key, text);
    return label;
  });
  byId('sentences').replaceChildren(...lines);
  show('rate');
  draw();
  say('', false);
  byId('caption-title').focus();
}

const chosen = (name) => inputs(name).filter((input) => input.checked).map((input) => input.value);

/** Shows what is chosen; boxes of sentences appear with "yes". */
function draw() {
  const marking = phase === 'rate' && chosen('hallucination')[0] === 'yes';
  for (const name of ['accuracy', 'hallucination', 'missing'])
    for (const input of inputs(name)) input.parentElement.className = input.checked ? 'chosen' : '';
  for (const box of inputs('sentence')) {
    if (!marking && phase === 'rate') box.checked = false;
    box.hidden = !marking;
    box.disabled = !marking;
    box.parentElement.querySelector('kbd').hidden = !marking;
    box.parentElement.className = box.checked ? 'wrong' : '';
  }
  byId('mark-hint').hidden = !marking;
}

function rating() {
  const accuracy = chosen('accuracy')[0];
  const hallucination = chosen('hallucination')[0];
  const wrongSentences = chosen('sentence').map(Number);
  if (accuracy === undefined) return say('Choose how accurate the caption is: 1 to 5.', true);
  if (hallucination === undefined) return say('Does the caption say what the image does not show? y or n.', true);
  if (hallucination === 'yes' && wrongSentences.length === 0) return say('Mark the sentence that is wrong.', true);
  return {
    rater,
    item: item.item,
    accuracy: Number(accuracy),
    hallucination: hallucination === 'yes',
    wrongSentences,
    missing: chosen('missing'),
    comment: byId('comment').value,
  };
}

function showFacts(facts) {
  for (const [id, present] of [['present', true], ['absent', false]]) {
    const entries = facts.filter((fact) => fact.value === present).map((fact) => {
      const entry = document.createElement('li');
      entry.textContent = fact.name.replaceAll('_', ' ') + (fact.from === 'classifier' ? ' (guessed)' : '');
      return entry;
    });
    byId(id).replaceChildren(...entries);
  }
  show('facts');
  draw();
  say('Saved.', false);
  byId('next').focus();
}

/** One step at a time: a key held down must not rate twice. */
async function step(action) {
  if (busy) return;
  busy = true;
  try {
    await action();
  } catch (error) {
    say(error.message, true);
  } finally {
    busy = false;
  }
}

const join = () => step(async () => {
  rater = byId('rater').value;
  const reply = await nextItem();
  rater = reply.rater;
  try { localStorage.setItem(storageName, rater); } catch {}
  showItem(reply);
});

const submit = () => step(async () => {
  const body = rating();
  if (!body) return;
  try {
    showFacts((await request('/api/rating', body)).facts);
  } catch (error) {
    if (error.code === 'already-rated') return showItem(await nextItem());
    if (error.code !== 'unknown-rater' && error.code !== 'not-shown') throw error;
    // The server was started anew and does not know what it showed
    const reply = await nextItem();
    if (reply.item !== body.item) {
      showItem(reply);
      throw new Error('The item went to another rater meanwhile; here is the next one.');
    }
    showFacts((await request('/api/rating', body)).facts);
  }
});

const goOn = () => step(async () => showItem(await nextItem()));

document.addEventListener('keydown', (event) => {
  if (event.repeat || event.altKey) return;
  const { key, target } = event;
  const typing = target.localName === 'textarea' || (target.localName === 'input' && target.type === 'text');
  const enter = key === 'Enter' && (!typing || phase === 'join' || event.ctrlKey || event.metaKey);
  if (enter && target.localName !== 'summary' && target.localName !== 'a') {
    event.preventDefault();
    if (phase === 'join') join();
    else if (phase === 'rate') submit();
    else if (phase === 'facts') goOn();
    return;
  }
  if (phase !== 'rate' || typing || event.ctrlKey || event.metaKey) return;
  const letter = key.toLowerCase();
  if (/^[1-5]$/.test(key)) choose('accuracy', key);
  else if (letter === 'y') choose('hallucination', 'yes');
  else if (letter === 'n') choose('hallucination', 'no');
  else if (letter.length === 1 && sentenceKeys.includes(letter)) {
    const box = inputs('sentence')[sentenceKeys.indexOf(letter)];
    if (!box || chosen('hallucination')[0] !== 'yes') return;
    box.checked = !box.checked;
    draw();
  } else return;
  event.preventDefault();
});

function choose(name, value) {
  for (const input of inputs(name)) input.checked = input.value === value;
  draw();
}

for (const name of ['accuracy', 'hallucination', 'missing'])
  for (const input of inputs(name)) input.addEventListener('change', draw);
byId('join-button').addEventListener('click', join);
byId('submit').addEventListener('click', submit);
byId('next').addEventListener('click', goOn);
try { byId('rater').value = localStorage.getItem(storageName) || ''; } catch {}
show('join');
byId('rater').focus();
`;

/** Script of the live page: plain JavaScript for the browser, with uPlot loaded before it. Texts are only ever set as text. */
export const watchScript = `
'use strict';
const byId = (id) => document.getElementById(id);
const make = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};
const number = (value) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  return size >= 1000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(4)));
};
const duration = (seconds) => {
  const s = Math.round(seconds);
  if (!Number.isFinite(seconds)) return '–';
  if (s >= 3600) return Math.floor(s / 3600) + ' h ' + Math.floor((s % 3600) / 60) + ' min';
  return s >= 60 ? Math.floor(s / 60) + ' min ' + (s % 60) + ' s' : s + ' s';
};
let view = null;
let version = '';
let followStage = true;
let followSample = true;
let plots = [];
const dark = matchMedia('(prefers-color-scheme: dark)');
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// 0 blue, 1 the page's neutral, 2.5 and more orange
function loadColour(load) {
  const neutral = dark.matches ? [42, 48, 60] : [240, 241, 244];
  const end = load < 1 ? (dark.matches ? [86, 148, 255] : [30, 84, 200]) : dark.matches ? [255, 160, 70] : [216, 96, 0];
  const part = load < 1 ? 1 - load : Math.min(1, (load - 1) / 1.5);
  return neutral.map((from, i) => Math.round(from + (end[i] - from) * part));
}
const css = (rgb) => 'rgb(' + rgb.join(',') + ')';
function inkOn(rgb) {
  const [r, g, b] = rgb.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? '#000' : '#fff';
}

function smoothed(values) {
  let mean = null;
  return values.map((value) => (value === null ? null : (mean = mean === null ? value : 0.9 * mean + 0.1 * value)));
}

// One curve with its own axis; arrow keys move along it
function curve(parent, name, x, y, range) {
  const box = make('div', undefined, 'curve');
  const head = make('p');
  const readout = make('span');
  head.append(make('span', name), readout);
  const holder = make('div');
  box.append(head, holder);
  parent.append(box);
  const known = y.filter((value) => value !== null);
  const last = y.length - 1;
  box.tabIndex = 0;
  box.setAttribute('role', 'img');
  box.setAttribute('aria-label', known.length === 0 ? name + ', no values' :
    name + ', from ' + number(known[0]) + ' at step ' + x[0] + ' to ' + number(known[known.length - 1]) + ' at step ' + x[last] +
    ', lowest ' + number(Math.min(...known)) + ', highest ' + number(Math.max(...known)));
  const tell = (index) => { readout.textContent = number(y[index]) + ' at ' + number(x[index]); };
  tell(last);
  const axis = { stroke: colour('--muted'), grid: { stroke: colour('--grid'), width: 1 }, ticks: { show: false }, font: '11px system-ui' };
  const plot = new uPlot({
    width: Math.max(120, box.clientWidth - 18),
    height: 150,
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false }, points: { size: 6 } },
    scales: { x: { time: false }, y: range ? { range } : {} },
    axes: [{ ...axis, size: 22, values: (u, ticks) => ticks.map((t) => (t >= 1000 ? t / 1000 + 'k' : t)) }, { ...axis, size: 46, values: (u, ticks) => ticks.map(number) }],
    series: [{}, { stroke: colour('--accent'), width: 1.5, points: { show: known.length < 2 }, spanGaps: true }],
    hooks: { setCursor: [(u) => tell(u.cursor.idx ?? last)] },
  }, [x, y], holder);
  plots.push({ plot, box });
  let at = last;
  box.addEventListener('keydown', (event) => {
    const jump = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (jump === undefined) return;
    event.preventDefault();
    at = Math.min(last, Math.max(0, jump));
    plot.setCursor({ left: plot.valToPos(x[at], 'x'), top: 0 });
    tell(at);
  });
}

function options(select, names, chosen) {
  const same = select.options.length === names.length && names.every(([value], i) => select.options[i].value === value);
  if (!same) select.replaceChildren(...names.map(([value, text]) => { const o = make('option', text); o.value = value; return o; }));
  if (names.some(([value]) => value === chosen)) select.value = chosen;
}

const figureNames = { loss: 'loss', gradNorm: 'gradient norm', learningRate: 'learning rate', tokensPerSecond: 'tokens a second' };

function drawCurves(stage) {
  const { step, ...rest } = stage.curves;
  const parent = byId('curves');
  if (!step) return parent.replaceChildren(make('p', 'No step yet.', 'note'));
  parent.replaceChildren();
  for (const [name, values] of Object.entries(rest))
    curve(parent, figureNames[name] || name, step, byId('smooth').checked ? smoothed(values) : values);
}

const routerName = (r) => r.task + ', ' + r.level + ' level';

function drawRouting(stage) {
  byId('routing').hidden = stage.routers.length === 0;
  if (stage.routers.length === 0) return;
  const names = [...new Set(stage.routers.map(routerName))];
  options(byId('router'), names.map((name) => [name, name]), byId('router').value || names[0]);
  const routers = stage.routers.filter((r) => routerName(r) === byId('router').value);
  const experts = Math.max(...routers.map((r) => r.load.length));
  const head = make('tr');
  head.append(make('td'), ...Array.from({ length: experts }, (_, e) => { const c = make('th', 'expert ' + e); c.scope = 'col'; return c; }));
  const labels = make('th', 'entropy'); labels.scope = 'col'; head.append(labels);
  const rows = routers.map((r) => {
    const row = make('tr');
    const name = make('th', 'layer ' + r.layer); name.scope = 'row';
    row.append(name);
    for (const loads of r.load) {
      const load = loads[loads.length - 1];
      const cell = make('td', load.toFixed(2));
      const rgb = loadColour(load);
      cell.style.background = css(rgb);
      cell.style.color = inkOn(rgb);
      row.append(cell);
    }
    row.append(make('td', r.entropy[r.entropy.length - 1].toFixed(2)));
    return row;
  });
  byId('loads').replaceChildren(head, ...rows);
  byId('scale').replaceChildren(...[0, 0.5, 1, 1.75, 2.5].map((load) => {
    const cell = make('span', load === 2.5 ? '2.5 and more' : String(load));
    const rgb = loadColour(load);
    cell.style.background = css(rgb);
    cell.style.color = inkOn(rgb);
    return cell;
  }));
  byId('heat').replaceChildren(...routers.map((r) => {
    const strip = make('div', undefined, 'strip');
    const canvas = make('canvas');
    canvas.width = r.step.length;
    canvas.height = r.load.length;
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', 'Loads of layer ' + r.layer + ' from step ' + r.step[0] + ' to ' + r.step[r.step.length - 1] + ', a row for each expert');
    const context = canvas.getContext('2d');
    r.load.forEach((loads, e) => loads.forEach((load, t) => { context.fillStyle = css(loadColour(load)); context.fillRect(t, e, 1, 1); }));
    strip.append(make('span', 'layer ' + r.layer), canvas);
    return strip;
  }));
  byId('entropy').replaceChildren();
  for (const r of routers) curve(byId('entropy'), 'layer ' + r.layer, r.step, r.entropy, [0, 1.02]);
}

function drawSamples() {
  const { samples } = view;
  const slider = byId('sample');
  slider.max = String(Math.max(0, samples.length - 1));
  if (followSample) slider.value = slider.max;
  slider.disabled = samples.length < 2;
  byId('sample-figure').hidden = samples.length === 0;
  byId('no-samples').hidden = samples.length > 0;
  const sample = samples[Number(slider.value)];
  if (!sample) return;
  slider.setAttribute('aria-valuetext', sample.stage + ', step ' + sample.step);
  const src = '/' + sample.file;
  if (byId('sample-image').getAttribute('src') !== src) byId('sample-image').src = src;
  byId('sample-image').alt = 'Generated faces, ' + sample.facesPerPrompt + ' for each prompt: ' + sample.prompts.join('; ');
  byId('sample-prompts').replaceChildren(...sample.prompts.map((prompt) => make('li', prompt)));
  byId('sample-caption').textContent = sample.stage + ', step ' + number(sample.step) + ' · ' + sample.settings.steps + ' denoising steps · guidance ' +
    sample.settings.guidance + ' · ' + sample.settings.weights + ' weights · seed ' + sample.seed + ' · generated, no real people';
  const answers = view.answers.find((a) => a.stage === sample.stage && a.step === sample.step);
  byId('answers').hidden = !answers;
  if (!answers) return;
  byId('answers-note').textContent = answers.stage + ', step ' + number(answers.step) + ', on validation faces the model is not trained on';
  byId('answer-rows').replaceChildren(...answers.answers.map((a) => {
    const row = make('tr');
    const first = (text) => (/^(yes|no)\\b/i.exec(text) || [text])[0].toLowerCase();
    const right = a.expected === undefined || first(a.answer) === first(a.expected);
    row.append(make('td', a.face), make('td', a.question), make('td', (right ? '' : '✗ ') + (a.answer || '(nothing)'), right ? '' : 'wrong'), make('td', a.expected ?? '–'));
    return row;
  }));
}

function drawNow() {
  const { latest } = view;
  byId('alarms').hidden = view.raised.length === 0;
  byId('alarms').replaceChildren(...view.raised.map((text) => { const p = make('p'); p.append(make('strong', 'Alarm: '), text); return p; }));
  byId('notes').replaceChildren(...view.notes.slice().reverse().map(({ time, kind, text }) => make('li', time.slice(11, 19) + ' ' + (kind === 'clear' ? 'clear: ' : kind === 'alarm' ? 'ALARM: ' : '') + text, kind)));
  if (!latest) return;
  byId('bar').max = latest.steps;
  byId('bar').value = latest.step;
  const figures = {
    stage: latest.stage,
    step: number(latest.step) + ' of ' + number(latest.steps),
    loss: number(latest.loss),
    'tokens a second': number(Math.round(latest.tokensPerSecond)),
    ...(latest.peakShare !== undefined && { 'of peak': Math.round(100 * latest.peakShare) + ' %' }),
    memory: number(Math.round(latest.memoryBytes / 1048576)) + ' MiB',
    left: duration(latest.etaSeconds),
  };
  byId('figures').replaceChildren(...Object.entries(figures).map(([name, value]) => {
    const pair = make('div');
    pair.append(make('dt', name), make('dd', value));
    return pair;
  }));
}

function state(text) {
  if (byId('state').textContent !== text) byId('state').textContent = text;
}

function draw() {
  if (!view) return;
  drawNow();
  drawSamples();
  const trained = view.stages;
  if (trained.length === 0) return;
  const current = view.latest ? view.latest.stage : trained[trained.length - 1].stage;
  options(byId('stage'), trained.map(({ stage }) => [stage, stage]), followStage ? current : byId('stage').value);
  const stage = trained.find(({ stage }) => stage === byId('stage').value) || trained[trained.length - 1];
  // a curve that has the focus is left alone, so that keys can be used while values arrive
  const focused = document.activeElement;
  if (focused && focused.classList.contains('curve')) return;
  for (const { plot } of plots) plot.destroy();
  plots = [];
  drawCurves(stage);
  drawRouting(stage);
}

async function poll() {
  try {
    const reply = await fetch('/api/run?version=' + encodeURIComponent(version));
    if (!reply.ok) throw new Error((await reply.json()).error);
    const next = await reply.json();
    if (next.version !== version) {
      version = next.version;
      view = next;
      draw();
    }
    const ageSeconds = view && view.lastTime ? (Date.now() - Date.parse(view.lastTime)) / 1000 : 0;
    state(!view || !view.lastTime ? 'Waiting for the first step.' : view.finished ? 'Finished.' : ageSeconds > 120 ? 'Quiet for more than two minutes.' : 'Training.');
  } catch {
    state('The run has ended or cannot be reached: this is what it last told.');
  }
  setTimeout(poll, document.hidden ? 10000 : 2000);
}

byId('stage').addEventListener('change', () => { followStage = view.latest && byId('stage').value === view.latest.stage; draw(); });
byId('smooth').addEventListener('change', draw);
byId('router').addEventListener('change', draw);
byId('sample').addEventListener('input', () => { followSample = byId('sample').value === byId('sample').max; drawSamples(); });
dark.addEventListener('change', draw);
let resizing = 0;
addEventListener('resize', () => { clearTimeout(resizing); resizing = setTimeout(() => { for (const { plot, box } of plots) plot.setSize({ width: Math.max(120, box.clientWidth - 18), height: 150 }); }, 100); });
poll();
`;

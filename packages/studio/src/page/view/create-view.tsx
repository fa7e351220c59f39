import { useEffect, useId, useRef } from 'preact/hooks';
import type { SweepResult } from '../state/create.ts';
import type { Face } from '../state/face.ts';
import { download, fileName, newFace } from '../state/face.ts';
import { useStudio } from '../studio.ts';
import { DarkroomView } from './darkroom-view.tsx';
import { FacePicture } from './face-canvas.tsx';
import { Icon, RunLine } from './parts.tsx';
import { axisLabel, SettingsPanel } from './settings-panel.tsx';
import { WordsPanel } from './words-panel.tsx';

const examples = [
  'a smiling woman with wavy blond hair',
  'a man with black hair and a beard, wearing eyeglasses',
  'an older-looking man with gray hair',
  'a young-looking woman with brown hair and bangs',
];

function PromptForm() {
  const { create } = useStudio();
  const id = useId();
  const busy = create.runner.busy.value;
  const sweeping = create.sweeping.value;
  const start = () => void (sweeping ? create.runSweep() : create.generate());
  return (
    <form
      class="prompt-form"
      onSubmit={(event) => {
        event.preventDefault();
        start();
      }}
    >
      <label for={id}>Describe a face</label>
      <textarea
        id={id}
        rows={3}
        value={create.prompt.value}
        placeholder="a smiling woman with wavy blond hair"
        onInput={(event) => {
          create.prompt.value = event.currentTarget.value;
        }}
      />
      <div class="go">
        {busy ? (
          <button type="button" class="primary" onClick={() => create.runner.cancel()} aria-keyshortcuts="Escape">
            Cancel <kbd>Esc</kbd>
          </button>
        ) : (
          <button type="submit" class="primary" aria-keyshortcuts="Control+Enter">
            {sweeping ? 'Make the grid' : create.count.value === 1 ? 'Make a face' : `Make ${create.count.value} faces`}{' '}
            <kbd>Ctrl ⏎</kbd>
          </button>
        )}
      </div>
      <RunLine runner={create.runner} />
      {create.notice.value && (
        <p class="notice" role="status">
          {create.notice.value}
        </p>
      )}
    </form>
  );
}

function FaceCard({ face, label }: { face: Face; label?: string }) {
  const { darkroom, info } = useStudio();
  const png = face.png.value;
  return (
    <div class="print">
      <button
        type="button"
        id={face.key}
        class="print-button"
        disabled={!png}
        title={png ? 'Look closer, edit' : undefined}
        onClick={() => darkroom.open(face)}
      >
        <FacePicture face={face} tokenGrid={info.model.tokenGrid} />
      </button>
      {label === undefined && (
        <span class="caption">
          <span>
            {face.settings.seed} · {face.index + 1}
          </span>
          {png && (
            <button
              type="button"
              class="icon-button"
              aria-label={`Download picture ${face.index + 1}`}
              title="Download"
              onClick={() => download(png, fileName(face))}
            >
              <Icon name="download" />
            </button>
          )}
        </span>
      )}
    </div>
  );
}

function SweepTable({ sweep }: { sweep: SweepResult }) {
  const { columns, rows, faces } = sweep;
  return (
    <div class="sweep-scroll" tabIndex={0} role="region" aria-label="Sweep">
      <table class="sweep">
        <caption class="unseen">
          Faces by {axisLabel(columns.axis)} across and {axisLabel(rows.axis)} down
        </caption>
        <thead>
          <tr>
            <td />
            {columns.values.map((value) => (
              <th key={value} scope="col">
                {axisLabel(columns.axis)} {value}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.values.map((row, y) => (
            <tr key={row}>
              <th scope="row">
                {axisLabel(rows.axis)} {row}
              </th>
              {columns.values.map((column, x) => {
                const face = faces[y * columns.values.length + x];
                return <td key={column}>{face && <FaceCard face={face} label="" />}</td>;
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const placeholders = Array.from({ length: 4 }, (_, index) =>
  newFace({ prompt: '', count: 4, seed: 0, steps: 1, guidance: 0, temperature: 0, candidates: 1 }, index),
);

function EmptyStage() {
  const { create, info } = useStudio();
  return (
    <div class="empty">
      <div class="empty-prints" aria-hidden="true">
        {placeholders.map((face) => (
          <div key={face.key} class="print">
            <FacePicture face={face} tokenGrid={info.model.tokenGrid} />
          </div>
        ))}
      </div>
      <h2>Nothing here yet</h2>
      <p>
        Write a few words, use the switches, or begin with one of these. A generated PNG dropped here brings its
        settings back.
      </p>
      <ul class="examples">
        {examples.map((example) => (
          <li key={example}>
            <button
              type="button"
              class="example"
              onClick={() => {
                create.prompt.value = example;
                void create.generate();
              }}
            >
              {example}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Stage() {
  const { create } = useStudio();
  const { value: sweep } = create.sweep;
  const { value: faces } = create.faces;
  if (sweep) return <SweepTable sweep={sweep} />;
  if (faces.length === 0) return <EmptyStage />;
  return (
    <ul class={`prints ${faces.length === 1 ? 'one' : ''}`} aria-label="Faces">
      {faces.map((face) => (
        <li key={face.key}>
          <FaceCard face={face} />
        </li>
      ))}
    </ul>
  );
}

export function CreateView() {
  const { create, darkroom } = useStudio();
  const open = darkroom.current.value;
  const heading = <h1 class="unseen">Create faces</h1>;
  const lastOpen = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (open) lastOpen.current ??= open.key;
    else if (lastOpen.current) {
      // back to the print that was opened
      document.getElementById(lastOpen.current)?.focus();
      lastOpen.current = undefined;
    }
  }, [open]);
  if (open)
    return (
      <>
        {heading}
        <DarkroomView />
      </>
    );
  return (
    <div class="columns create">
      {heading}
      <PromptForm />
      <div class="stage">
        <Stage />
      </div>
      <div class="options">
        <WordsPanel
          prompt={create.prompt.value}
          onPrompt={(prompt) => {
            create.prompt.value = prompt;
          }}
        />
        <SettingsPanel />
      </div>
    </div>
  );
}

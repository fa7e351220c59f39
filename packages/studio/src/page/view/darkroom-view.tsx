import { useSignal } from '@preact/signals';
import { useEffect, useId, useRef } from 'preact/hooks';
import type { RegionChoice } from '../state/darkroom.ts';
import { download, fileName } from '../state/face.ts';
import type { TraitName } from '../state/words.ts';
import { useStudio } from '../studio.ts';
import { FacePicture } from './face-canvas.tsx';
import { Icon, RunLine, Segments, SettingSlider } from './parts.tsx';
import { RegionOverlay, RegionPicker } from './region-picker.tsx';
import { RoutingOverlay, RoutingView } from './routing-view.tsx';
import { SamplingSliders } from './settings-panel.tsx';
import { TraitChips } from './words-panel.tsx';

/** What one may want of a part. */
const traitsOfRegion: Record<RegionChoice, readonly TraitName[]> = {
  hair: [
    'Black_Hair',
    'Brown_Hair',
    'Blond_Hair',
    'Gray_Hair',
    'Bald',
    'Wavy_Hair',
    'Straight_Hair',
    'Bangs',
    'Wearing_Hat',
  ],
  eyes: ['Eyeglasses', 'Bushy_Eyebrows', 'Arched_Eyebrows', 'Narrow_Eyes', 'Bags_Under_Eyes'],
  mouth: ['Smiling', 'No_Smile', 'Mouth_Slightly_Open', 'Wearing_Lipstick', 'Mustache', 'Goatee', 'Big_Lips'],
  brush: ['Smiling', 'Eyeglasses', 'Blond_Hair', 'Bangs', 'Beard', 'Wearing_Hat', 'Wearing_Earrings'],
};

function EditForm() {
  const { darkroom, info } = useStudio();
  const id = useId();
  const busy = darkroom.runner.busy.value;
  const setPrompt = (prompt: string) => {
    darkroom.prompt.value = prompt;
  };
  return (
    <form
      class="edit-form"
      onSubmit={(event) => {
        event.preventDefault();
        void darkroom.apply();
      }}
    >
      <RegionPicker />
      <label for={id}>The face as it should be</label>
      <textarea
        id={id}
        rows={2}
        value={darkroom.prompt.value}
        onInput={(event) => setPrompt(event.currentTarget.value)}
      />
      <TraitChips
        legend="Words"
        names={traitsOfRegion[darkroom.region.value]}
        prompt={darkroom.prompt.value}
        onPrompt={setPrompt}
      />
      <SettingSlider of={darkroom.count} label="Versions" min={1} max={Math.min(8, info.limits.count)} />
      <details>
        <summary>Guidance, steps, variety</summary>
        <SamplingSliders />
      </details>
      <div class="go">
        {busy ? (
          <button type="button" class="primary" onClick={() => darkroom.runner.cancel()} aria-keyshortcuts="Escape">
            Cancel <kbd>Esc</kbd>
          </button>
        ) : (
          <button
            type="submit"
            class="primary"
            disabled={darkroom.problem.value !== ''}
            aria-keyshortcuts="Control+Enter"
          >
            Make anew <kbd>Ctrl ⏎</kbd>
          </button>
        )}
      </div>
      {darkroom.problem.value && <p class="note">{darkroom.problem.value}</p>}
      <RunLine runner={darkroom.runner} />
    </form>
  );
}

function Details() {
  const { darkroom, info } = useStudio();
  const face = darkroom.current.value!;
  const { prompt, seed, steps, guidance, temperature, candidates } = face.settings;
  const found = face.madeBy === null;
  const rows: [string, string | number][] = found
    ? [
        ['From', face.fromPhoto ? 'a photo' : 'a generated picture'],
        ['Described as', prompt],
      ]
    : [
        ['Words', prompt || 'any face'],
        ['Seed', `${seed}, picture ${face.index + 1}`],
        ['Steps', steps],
        ['Guidance', guidance],
        ['Variety', temperature],
        ...(candidates > 1 ? [['Best of', candidates] satisfies [string, number]] : []),
        ...(face.region ? [['Made anew', face.region] satisfies [string, string]] : []),
        [
          'Model',
          typeof face.madeBy === 'string' && face.madeBy !== info.model.hash
            ? face.madeBy.slice(0, 12)
            : `${info.model.name} ${info.model.hash.slice(0, 12)}`,
        ],
      ];
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** One face at large, with its tools. */
export function DarkroomView() {
  const { darkroom, info, look, view } = useStudio();
  const heading = useRef<HTMLHeadingElement>(null);
  const tool = useSignal<'edit' | 'experts' | 'details'>('edit');
  const face = darkroom.current.value!;
  const png = face.png.value;
  const versions = darkroom.versions.value;
  useEffect(() => heading.current?.focus(), []);
  const tools = [
    { value: 'edit' as const, label: 'Edit' },
    ...(darkroom.canRoute.value ? [{ value: 'experts' as const, label: 'Experts' }] : []),
    { value: 'details' as const, label: 'Details' },
  ];
  const shownTool = tools.some(({ value }) => value === tool.value) ? tool.value : 'edit';
  return (
    <div class="darkroom">
      <div class="darkroom-bar">
        <button type="button" class="quiet" onClick={() => darkroom.close()}>
          <Icon name="back" /> All faces
        </button>
        <h2 ref={heading} tabIndex={-1} class="unseen">
          One face
        </h2>
        <span class="spread" />
        <button
          type="button"
          class="quiet"
          disabled={!png}
          onClick={() => {
            if (!png) return;
            view.value = 'look';
            location.hash = 'look';
            void look.open(png, true);
          }}
        >
          Ask about it
        </button>
        <button
          type="button"
          class="quiet"
          aria-label="Download"
          disabled={!png}
          onClick={() => png && download(png, fileName(face))}
        >
          <Icon name="download" /> <span class="wide-only">Download</span>
        </button>
      </div>
      <div class="darkroom-columns">
        <div class="easel">
          <div class="print large">
            <span class="frame">
              <FacePicture face={face} tokenGrid={info.model.tokenGrid} pixels={640} />
              {png && shownTool === 'edit' && <RegionOverlay />}
              {shownTool === 'experts' && <RoutingOverlay />}
            </span>
          </div>
          {versions.length > 1 && (
            <ol class="versions" aria-label="Versions">
              {versions.map((version, i) => (
                <li key={version.key}>
                  <button
                    type="button"
                    class="version"
                    aria-current={version === face}
                    aria-label={i === 0 ? 'The original' : `Version ${i}, ${version.region} anew`}
                    onClick={() => darkroom.show(version)}
                  >
                    <FacePicture face={version} tokenGrid={info.model.tokenGrid} pixels={96} />
                  </button>
                  <span aria-hidden="true">{i === 0 ? 'original' : version.region}</span>
                </li>
              ))}
            </ol>
          )}
        </div>
        <div class="tools">
          <Segments
            legend="Tool"
            hideLegend
            value={shownTool}
            options={tools}
            onValue={(value) => {
              tool.value = value;
            }}
          />
          {shownTool === 'edit' && <EditForm />}
          {shownTool === 'experts' && <RoutingView />}
          {shownTool === 'details' && <Details />}
        </div>
      </div>
    </div>
  );
}

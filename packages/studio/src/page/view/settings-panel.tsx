import { useId } from 'preact/hooks';
import { randomSeed } from '../state/create.ts';
import type { SweepAxis } from '../state/history.ts';
import { useStudio } from '../studio.ts';
import { Icon, Segments, SettingSlider } from './parts.tsx';

const axes: readonly SweepAxis[] = ['guidance', 'steps', 'temperature', 'candidates', 'seed'];
const axisLabels: Record<SweepAxis, string> = {
  guidance: 'Guidance',
  steps: 'Steps',
  temperature: 'Variety',
  candidates: 'Best of',
  seed: 'Seed',
};

export const axisLabel = (axis: SweepAxis): string => axisLabels[axis];

function SeedField() {
  const { create } = useStudio();
  const id = useId();
  return (
    <div class="seed">
      <label for={id}>Seed</label>
      <input
        id={id}
        type="text"
        inputMode="numeric"
        value={Number.isFinite(create.seed.value) ? create.seed.value : ''}
        onInput={(event) => {
          const text = event.currentTarget.value.trim();
          create.seed.value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
          create.keepSeed.value = true;
        }}
      />
      <button
        type="button"
        class="icon-button"
        title="A new seed"
        aria-label="A new seed"
        onClick={() => {
          create.seed.value = randomSeed();
        }}
      >
        <Icon name="dice" />
      </button>
      <button
        type="button"
        class="icon-button"
        title="Keep the seed for the next run"
        aria-label="Keep the seed"
        aria-pressed={create.keepSeed.value}
        onClick={() => {
          create.keepSeed.value = !create.keepSeed.value;
        }}
      >
        <Icon name="lock" />
      </button>
    </div>
  );
}

function AxisFields({ side, label }: { side: 'columns' | 'rows'; label: string }) {
  const { create } = useStudio();
  const [axisId, valuesId] = [useId(), useId()];
  const { axis, values } = create.sweepAxes.value[side];
  const change = (next: { axis?: SweepAxis; values?: string }) => {
    const all = create.sweepAxes.value;
    create.sweepAxes.value = { ...all, [side]: { ...all[side], ...next } };
  };
  return (
    <div class="axis">
      <label for={axisId}>{label}</label>
      <select id={axisId} value={axis} onChange={(event) => change({ axis: event.currentTarget.value as SweepAxis })}>
        {axes.map((name) => (
          <option key={name} value={name}>
            {axisLabels[name]}
          </option>
        ))}
      </select>
      <label for={valuesId} class="unseen">
        {label}: values between commas
      </label>
      <input
        id={valuesId}
        type="text"
        value={values}
        onInput={(event) => change({ values: event.currentTarget.value })}
      />
    </div>
  );
}

/** Sliders of the sampler, each up to a useful maximum or the engine's, whichever is lower. */
const sliders = [
  { of: 'guidance', hint: 'More follows the words further; 0 is as learnt', min: 0, max: 10, step: 0.5 },
  { of: 'steps', hint: 'More is finer and slower', min: 1, max: 48, step: 1 },
  { of: 'temperature', hint: '0 gives the most probable face', min: 0, max: 2, step: 0.1 },
  {
    of: 'candidates',
    hint: 'Tries for each face; the model keeps the one that fits the words',
    min: 1,
    max: 8,
    step: 1,
  },
] as const;

/** How a face is drawn after the words; settings that vary in a sweep are left out. */
export function SamplingSliders({ varied = [] }: { varied?: readonly SweepAxis[] }) {
  const { create, info } = useStudio();
  return sliders
    .filter(({ of }) => !varied.includes(of))
    .map(({ of, max, ...rest }) => (
      <SettingSlider key={of} of={create[of]} label={axisLabels[of]} max={Math.min(max, info.limits[of])} {...rest} />
    ));
}

/** How faces are made: one run, or a grid over two settings. */
export function SettingsPanel() {
  const { create, info } = useStudio();
  const sweeping = create.sweeping.value;
  const varied = sweeping ? [create.sweepAxes.value.columns.axis, create.sweepAxes.value.rows.axis] : [];
  return (
    <section class="settings" aria-label="Settings">
      <Segments
        legend="What to make"
        hideLegend
        value={sweeping ? 'sweep' : 'faces'}
        options={[
          { value: 'faces', label: 'Faces' },
          { value: 'sweep', label: 'Sweep' },
        ]}
        onValue={(value) => {
          create.sweeping.value = value === 'sweep';
        }}
      />
      {sweeping ? (
        <>
          <p class="note">A grid of faces over two settings; all else stays the same.</p>
          <AxisFields side="columns" label="Across" />
          <AxisFields side="rows" label="Down" />
          {create.sweepProblem.value && <p class="problem">{create.sweepProblem.value}</p>}
        </>
      ) : (
        <SettingSlider of={create.count} label="Faces" min={1} max={Math.min(16, info.limits.count)} />
      )}
      <SamplingSliders varied={varied} />
      {!varied.includes('seed') && <SeedField />}
    </section>
  );
}

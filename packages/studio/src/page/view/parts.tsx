import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useState } from 'preact/hooks';
import type { Runner } from '../state/runner.ts';

/** An object URL that lives as long as it is shown. */
export function usePictureUrl(picture: Blob | undefined): string | undefined {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    if (!picture) {
      setUrl(undefined);
      return;
    }
    const made = URL.createObjectURL(picture);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [picture]);
  return url;
}

interface SliderProps {
  label: string;
  value: number;
  min: number;
  max: number;
  step?: number;
  hint?: string;
  /** What the value is called, where a number says too little. */
  text?: string;
  onValue(value: number): void;
}

export function Slider({ label, value, min, max, step = 1, hint, text, onValue }: SliderProps) {
  const id = useId();
  return (
    <div class="slider">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="range"
        min={min}
        max={Math.max(max, value)}
        step={step}
        value={value}
        title={hint}
        aria-valuetext={text}
        style={{ '--share': `${(100 * (value - min)) / (Math.max(max, value) - min || 1)}%` }}
        onInput={(event) => onValue(Number(event.currentTarget.value))}
      />
      <output for={id}>{text ?? value}</output>
    </div>
  );
}

type SettingProps = Omit<SliderProps, 'value' | 'onValue'> & { of: Signal<number> };

/** A slider of a setting. */
export function SettingSlider({ of, ...props }: SettingProps) {
  return (
    <Slider
      {...props}
      value={of.value}
      onValue={(value) => {
        of.value = value;
      }}
    />
  );
}

interface SegmentsProps<T extends string> {
  legend: string;
  hideLegend?: boolean;
  value: T;
  options: readonly { value: T; label: ComponentChildren }[];
  class?: string;
  onValue(value: T): void;
}

/** One of a few, as a row of radio buttons. */
export function Segments<T extends string>({
  legend,
  hideLegend,
  value,
  options,
  class: className = '',
  onValue,
}: SegmentsProps<T>) {
  const name = useId();
  return (
    <fieldset class={`segments ${className}`}>
      <legend class={hideLegend ? 'unseen' : undefined}>{legend}</legend>
      <div>
        {options.map((option) => (
          <label key={option.value} class={`segment segment-${option.value}`}>
            <input
              type="radio"
              name={name}
              value={option.value}
              checked={option.value === value}
              onChange={() => onValue(option.value)}
            />
            <span>{option.label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

/** What a runner does, seen and heard: progress, end unless that shows by itself, or the one line of an error. */
export function RunLine({ runner, hideDone = false }: { runner: Runner; hideDone?: boolean }) {
  const status = runner.status.value;
  return (
    <div class="run-line">
      {status.state === 'working' && (
        <>
          <progress aria-label="Progress" max={1} {...(status.share !== undefined && { value: status.share })} />
          <span class="note">{status.note}</span>
        </>
      )}
      {status.state === 'queued' && (
        <span class="note">
          {status.ahead === 0 ? 'Your turn is next' : `Waiting: ${status.ahead} before this one`}
        </span>
      )}
      {status.state === 'done' && !hideDone && <span class="note">{status.note}</span>}
      {status.state === 'cancelled' && <span class="note">Cancelled</span>}
      <span role="alert" class="problem">
        {status.state === 'failed' ? status.message : ''}
      </span>
    </div>
  );
}

const paths = {
  dice: 'M5 3h14a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zM8.5 8.5h.01M15.5 8.5h.01M12 12h.01M8.5 15.5h.01M15.5 15.5h.01',
  back: 'M15 5l-7 7 7 7',
  download: 'M12 4v11m0 0l-4.5-4.5M12 15l4.5-4.5M5 20h14',
  camera:
    'M4 8h3.5L9 5.5h6L16.5 8H20a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V9a1 1 0 0 1 1-1zM12 16.5a3.3 3.3 0 1 0 0-6.6 3.3 3.3 0 0 0 0 6.6z',
  undo: 'M9 7L5 11l4 4M5 11h9a5 5 0 0 1 0 10h-2',
  close: 'M6 6l12 12M18 6L6 18',
  auto: 'M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16',
  light:
    'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4',
  dark: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z',
  lock: 'M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z',
} as const;

export function Icon({ name }: { name: keyof typeof paths }) {
  return (
    <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true" class="icon">
      <path d={paths[name]} />
    </svg>
  );
}

import { effect, type Signal, signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

/** A signal that outlives the page; where storage is forbidden it lives as long as the page. */
function kept<T extends string | boolean>(key: string, initial: T, values: readonly T[]): Signal<T> {
  const name = `unif2ace.${key}`;
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(name);
  } catch {
    // a page without storage works as well
  }
  const value = signal<T>(values.find((one) => String(one) === stored) ?? initial);
  effect(() => {
    const text = String(value.value);
    try {
      localStorage.setItem(name, text);
    } catch {
      // as above
    }
  });
  return value;
}

export interface Preferences {
  theme: Signal<Theme>;
  /** Made pictures and their settings go into the history. */
  keepHistory: Signal<boolean>;
  /** Photos and what was made of them go there too. */
  keepPhotos: Signal<boolean>;
}

export function preferences(): Preferences {
  return {
    theme: kept<Theme>('theme', 'system', ['system', 'light', 'dark']),
    keepHistory: kept('keepHistory', true, [true, false]),
    keepPhotos: kept('keepPhotos', false, [true, false]),
  };
}

import { type Signal, signal } from '@preact/signals';
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { EngineInfo, StudioEngine } from './engine.ts';
import { type CreateState, createState, type Parts } from './state/create.ts';
import { type DarkroomState, darkroomState } from './state/darkroom.ts';
import { type HistoryEntry, openHistory } from './state/history.ts';
import { type LookState, lookState } from './state/look.ts';
import { readPngRecord } from './state/png-record.ts';
import { preferences } from './state/preferences.ts';

export const views = ['create', 'look', 'history'] as const;
export type View = (typeof views)[number];

/** Everything that the page shows and does, apart from how it looks. */
export interface Studio extends Parts {
  view: Signal<View>;
  create: CreateState;
  darkroom: DarkroomState;
  look: LookState;
  /** A file from the reader: a generated PNG brings its settings back, any other picture is looked at. */
  take(file: Blob): Promise<void>;
  restore(entry: HistoryEntry): void;
  /** Cancels what runs; false when nothing did. */
  cancel(): boolean;
}

export function openStudio(engine: StudioEngine, info: EngineInfo): Studio {
  const parts: Parts = { engine, info, history: openHistory(), preferences: preferences() };
  const create = createState(parts);
  const darkroom = darkroomState(parts, create);
  const look = lookState(parts, create);
  const fromHash = (): View => views.find((view) => location.hash === `#${view}`) ?? 'create';
  const view = signal(fromHash());
  addEventListener('hashchange', () => {
    view.value = fromHash();
  });
  const go = (to: View) => {
    if (view.value !== to) location.hash = to;
    view.value = to;
  };
  return {
    ...parts,
    view,
    create,
    darkroom,
    look,
    async take(file) {
      const record = readPngRecord(new Uint8Array(await file.arrayBuffer()));
      if (record) {
        darkroom.close();
        create.restorePng(record, file);
        go('create');
        return;
      }
      go('look');
      await look.open(file);
    },
    restore(entry) {
      if (entry.kind === 'look') {
        look.restore(entry);
        go('look');
        return;
      }
      darkroom.close();
      create.restore(entry);
      go('create');
    },
    cancel() {
      const runners = [create.runner, darkroom.runner, look.answering, look.seeing];
      return runners.find((runner) => runner.busy.value)?.cancel() ?? false;
    },
  };
}

export const StudioContext = createContext<Studio | undefined>(undefined);

export function useStudio(): Studio {
  const studio = useContext(StudioContext);
  if (!studio) throw new Error('useStudio: expected a StudioContext above, got none');
  return studio;
}

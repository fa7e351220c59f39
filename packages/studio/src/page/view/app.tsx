import { type Signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Theme } from '../state/preferences.ts';
import { type Studio, StudioContext, useStudio, type View, views } from '../studio.ts';
import { CreateView } from './create-view.tsx';
import { HistoryView } from './history-view.tsx';
import { LookView } from './look-view.tsx';
import { Icon } from './parts.tsx';

const viewLabels: Record<View, string> = { create: 'Create', look: 'Look', history: 'History' };
const themes: readonly Theme[] = ['system', 'light', 'dark'];
const themeLooks = {
  system: { label: 'Auto', icon: 'auto', spoken: 'as the system has them' },
  light: { label: 'Light', icon: 'light', spoken: 'light' },
  dark: { label: 'Dark', icon: 'dark', spoken: 'dark' },
} as const satisfies Record<Theme, object>;

/** What the page runs on. */
function EngineLine() {
  const { info } = useStudio();
  const { name, hash, imageSize } = info.model;
  const place = info.place === 'browser' ? 'in this page' : 'on this page’s server';
  return (
    <span class="engine" title={`${imageSize} × ${imageSize} pixels, weights ${hash.slice(0, 12)}…`}>
      {name} · {info.device} · {place}
    </span>
  );
}

function Header() {
  const { view, preferences } = useStudio();
  const theme = preferences.theme.value;
  const look = themeLooks[theme];
  return (
    <header>
      <a class="brand" href="#create">
        UniF²ace <span>Studio</span>
      </a>
      <nav aria-label="Views">
        {views.map((one) => (
          <a key={one} href={`#${one}`} aria-current={view.value === one ? 'page' : undefined}>
            {viewLabels[one]}
          </a>
        ))}
      </nav>
      <span class="spread" />
      <EngineLine />
      <button
        type="button"
        class="quiet theme"
        title={`Colours: ${look.spoken}`}
        onClick={() => {
          preferences.theme.value = themes[(themes.indexOf(theme) + 1) % themes.length]!;
        }}
      >
        <Icon name={look.icon} />
        <span class="unseen">Colours: {look.spoken}</span>
        <span class="theme-name" aria-hidden="true">
          {look.label}
        </span>
      </button>
    </header>
  );
}

/** What a screen reader hears of the work: its begin, its queue and its end, not each step. */
function Announcer() {
  const { create, darkroom, look } = useStudio();
  const said = [create.runner, darkroom.runner, look.seeing].map(({ status: { value: status } }) => {
    if (status.state === 'working') return 'Working';
    if (status.state === 'queued') return `Waiting, ${status.ahead} before this one`;
    if (status.state === 'done') return status.note;
    return status.state === 'cancelled' ? 'Cancelled' : '';
  });
  return (
    <div role="status" class="unseen">
      {said.filter((text) => text !== '').join('. ')}
    </div>
  );
}

/** Keys that work everywhere, and files dropped anywhere. */
function useShortcuts(studio: Studio, dragging: Signal<boolean>): void {
  useEffect(() => {
    const { create, darkroom, look, view } = studio;
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing) return;
      if (event.key === 'Escape') {
        if (!studio.cancel() && view.value === 'create' && darkroom.current.value) darkroom.close();
      } else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        if (view.value === 'look') void look.ask(look.draft.value);
        else if (view.value === 'create') {
          if (darkroom.current.value) void darkroom.apply();
          else void (create.sweeping.value ? create.runSweep() : create.generate());
        }
      } else if (event.key === 'z' && (event.ctrlKey || event.metaKey)) {
        const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
        if (typing || darkroom.region.value !== 'brush' || !darkroom.current.value) return;
        event.preventDefault();
        darkroom.strokes.value = darkroom.strokes.value.slice(0, -1);
      }
    };
    const fileOf = (event: DragEvent | ClipboardEvent) => {
      const data = 'dataTransfer' in event ? event.dataTransfer : event.clipboardData;
      return data?.files[0];
    };
    const onDragOver = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      dragging.value = true;
    };
    const onDragLeave = (event: DragEvent) => {
      if (!event.relatedTarget) dragging.value = false;
    };
    const onFile = (event: DragEvent | ClipboardEvent) => {
      dragging.value = false;
      const file = fileOf(event);
      if (!file) return;
      event.preventDefault();
      void studio.take(file);
    };
    const removal = new AbortController();
    const { signal } = removal;
    addEventListener('keydown', onKeyDown, { signal });
    addEventListener('dragover', onDragOver, { signal });
    addEventListener('dragleave', onDragLeave, { signal });
    addEventListener('drop', onFile, { signal });
    addEventListener('paste', onFile, { signal });
    return () => removal.abort();
  }, [studio, dragging]);
}

function Page() {
  const studio = useStudio();
  const dragging = useSignal(false);
  const theme = studio.preferences.theme.value;
  const view = studio.view.value;
  useShortcuts(studio, dragging);
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  useEffect(() => {
    document.title = `${viewLabels[view]} · UniF²ace Studio`;
  }, [view]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById('main')?.focus();
        }}
      >
        To the content
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        {view === 'create' && <CreateView />}
        {view === 'look' && <LookView />}
        {view === 'history' && <HistoryView />}
      </main>
      <footer>
        <p>
          Faces here are made up; each PNG says so. Weights for non-commercial research. No one should be judged by
          this.
        </p>
        <EngineLine />
      </footer>
      <Announcer />
      {dragging.value && (
        <div class="dropping" aria-hidden="true">
          <p>A photo to look at, or a generated PNG to restore</p>
        </div>
      )}
    </>
  );
}

export function App({ studio }: { studio: Studio }) {
  return (
    <StudioContext.Provider value={studio}>
      <Page />
    </StudioContext.Provider>
  );
}

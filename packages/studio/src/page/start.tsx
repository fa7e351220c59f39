import './style/base.css';
import './style/controls.css';
import './style/views.css';
import { render } from 'preact';
import { EngineError, type StudioEngine } from './engine.ts';
import { oneLine } from './state/runner.ts';
import { openStudio } from './studio.ts';
import { App } from './view/app.tsx';
import { FailedStart, KeyForm } from './view/start-view.tsx';

/** Shows the page on an engine; until that is ready, that it loads, asks for its key, or says in one line why it cannot. */
export async function start(engine: StudioEngine, root: HTMLElement): Promise<void> {
  try {
    const info = await engine.info();
    render(<App studio={openStudio(engine, info)} />, root);
  } catch (error) {
    const { unlock } = engine;
    if (!(unlock && error instanceof EngineError && error.needsKey)) {
      render(<FailedStart message={oneLine(error)} />, root);
      return;
    }
    const onKey = (key: string) => {
      unlock.call(engine, key);
      return start(engine, root);
    };
    render(<KeyForm problem={oneLine(error)} onKey={onKey} />, root);
  }
}

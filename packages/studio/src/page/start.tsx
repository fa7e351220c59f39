import './style/base.css';
import './style/controls.css';
import './style/views.css';
import { render } from 'preact';
import type { StudioEngine } from './engine.ts';
import { oneLine } from './state/runner.ts';
import { openStudio } from './studio.ts';
import { App } from './view/app.tsx';

/** Shows the page on an engine; until that is ready, that it loads, or the one line why it cannot. */
export async function start(engine: StudioEngine, root: HTMLElement): Promise<void> {
  try {
    const info = await engine.info();
    render(<App studio={openStudio(engine, info)} />, root);
  } catch (error) {
    render(
      <main class="alone">
        <h1>UniF²ace Studio</h1>
        <p role="alert" class="problem">
          {oneLine(error)}
        </p>
        <button type="button" class="primary" onClick={() => location.reload()}>
          Try again
        </button>
      </main>,
      root,
    );
  }
}

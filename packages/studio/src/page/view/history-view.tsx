import { useSignal } from '@preact/signals';
import type { HistoryEntry } from '../state/history.ts';
import { useStudio } from '../studio.ts';
import { Icon, usePictureUrl } from './parts.tsx';
import { axisLabel } from './settings-panel.tsx';

const kinds: Record<HistoryEntry['kind'], string> = {
  generate: 'made',
  edit: 'edited',
  sweep: 'sweep',
  look: 'talked about',
};

function Thumb({ picture }: { picture: Blob }) {
  const url = usePictureUrl(picture);
  return url ? <img src={url} alt="" /> : null;
}

function Entry({ entry }: { entry: HistoryEntry }) {
  const { history, restore } = useStudio();
  const { settings, images, kind, at, region, sweep } = entry;
  const varied = sweep ? [sweep.columns.axis, sweep.rows.axis] : [];
  const facts = [
    `${kinds[kind]}${region ? `: ${region}` : ''}${sweep ? ` of ${varied.map(axisLabel).join(' × ').toLowerCase()}` : ''}`,
    ...(kind === 'look' || varied.includes('seed') ? [] : [`seed ${settings.seed}`]),
    ...(kind === 'look' || varied.includes('guidance') ? [] : [`guidance ${settings.guidance}`]),
    ...(kind === 'look' || varied.includes('steps') ? [] : [`${settings.steps} steps`]),
  ];
  const when = new Date(at);
  return (
    <li class="entry">
      <button type="button" class="entry-button" onClick={() => restore(entry)}>
        <span class={`thumbs ${images.length > 1 ? 'many' : ''}`}>
          {images.slice(0, 4).map((picture, i) => (
            // pictures of an entry never change
            <Thumb key={`${entry.id}-${i}`} picture={picture} />
          ))}
        </span>
        <span class="entry-words">
          <strong>{settings.prompt || 'any face'}</strong>
          <span class="note">
            {facts.join(' · ')} ·{' '}
            <time dateTime={when.toISOString()}>
              {when.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })}
            </time>
          </span>
        </span>
        <span class="unseen">Restore</span>
      </button>
      <button
        type="button"
        class="icon-button"
        aria-label={`Remove: ${settings.prompt || 'any face'}`}
        title="Remove"
        onClick={() => void history.remove(entry.id)}
      >
        <Icon name="close" />
      </button>
    </li>
  );
}

export function HistoryView() {
  const { history, preferences } = useStudio();
  const asking = useSignal(false);
  const entries = history.entries.value;
  return (
    <div class="history">
      <div class="history-bar">
        <h1>History</h1>
        <span class="spread" />
        <label class="check">
          <input
            type="checkbox"
            checked={preferences.keepHistory.value}
            onChange={(event) => {
              preferences.keepHistory.value = event.currentTarget.checked;
            }}
          />
          Keep a history in this browser
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={preferences.keepPhotos.value}
            disabled={!preferences.keepHistory.value}
            onChange={(event) => {
              preferences.keepPhotos.value = event.currentTarget.checked;
            }}
          />
          Also faces from photos
        </label>
        {asking.value ? (
          <span class="confirm">
            <button
              type="button"
              class="danger"
              onClick={() => {
                asking.value = false;
                void history.clear();
              }}
            >
              Clear {entries.length}
            </button>
            <button
              type="button"
              class="quiet"
              onClick={() => {
                asking.value = false;
              }}
            >
              Keep
            </button>
          </span>
        ) : (
          <button
            type="button"
            class="quiet"
            disabled={entries.length === 0}
            onClick={() => {
              asking.value = true;
            }}
          >
            Clear…
          </button>
        )}
      </div>
      {!history.lasting.value && <p class="note">This browser keeps nothing here: the history ends with the page.</p>}
      {entries.length === 0 ? (
        <p class="note">
          {preferences.keepHistory.value ? 'What you make appears here.' : 'Nothing is kept.'} An entry brings all its
          settings back.
        </p>
      ) : (
        <ul class="entries">
          {entries.map((entry) => (
            <Entry key={entry.id} entry={entry} />
          ))}
        </ul>
      )}
    </div>
  );
}

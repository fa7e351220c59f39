import { useSignal } from '@preact/signals';
import { useEffect, useId, useRef } from 'preact/hooks';
import type { AttributeEstimate } from '../engine.ts';
import { doneFace } from '../state/face.ts';
import { suggestions } from '../state/look.ts';
import { labelOf } from '../state/words.ts';
import { useStudio } from '../studio.ts';
import { Camera } from './camera.tsx';
import { Icon, RunLine, usePictureUrl } from './parts.tsx';

function PhotoNote() {
  const { info, preferences } = useStudio();
  const where = info.place === 'browser' ? 'never leave this page' : 'go to this page’s own server and nowhere else';
  return (
    <p class="note">
      Photos {where}. {preferences.keepPhotos.value ? 'You chose to keep them in the history.' : 'They are not kept.'}{' '}
      What you read here are guesses of a small model, no facts about a person.
    </p>
  );
}

function PhotoPicker() {
  const { take } = useStudio();
  const input = useRef<HTMLInputElement>(null);
  const camera = useSignal(false);
  const id = useId();
  return (
    <div class="picker">
      {camera.value ? (
        <Camera
          onPhoto={(photo) => {
            camera.value = false;
            void take(photo);
          }}
          onClose={() => {
            camera.value = false;
          }}
        />
      ) : (
        <>
          <div class="drop-zone">
            <svg viewBox="0 0 96 96" width="72" height="72" aria-hidden="true" class="drop-mark">
              <path d="M20 34V20h14M62 20h14v14M76 62v14H62M34 76H20V62M38 43v3M58 43v3M38 58c5 6 15 6 20 0" />
            </svg>
            <h2>A photo with a face</h2>
            <p class="note wide-only">Drop it here, paste it, or</p>
            <div class="go">
              <button type="button" class="primary" onClick={() => input.current!.click()}>
                Choose a photo
              </button>
              <button
                type="button"
                class="quiet"
                onClick={() => {
                  camera.value = true;
                }}
              >
                <Icon name="camera" /> Camera
              </button>
            </div>
            <label for={id} class="unseen">
              Photo
            </label>
            <input
              ref={input}
              id={id}
              class="unseen"
              tabIndex={-1}
              type="file"
              accept="image/png,image/jpeg,image/webp"
              onChange={(event) => {
                const file = event.currentTarget.files?.[0];
                if (file) void take(file);
                event.currentTarget.value = '';
              }}
            />
          </div>
          <PhotoNote />
        </>
      )}
    </div>
  );
}

function PhotoWithBoxes() {
  const { look } = useStudio();
  const url = usePictureUrl(look.photo.value);
  const found = look.found.value;
  const share = (value: number, whole: number) => `${(100 * value) / whole}%`;
  return (
    <div class="print large">
      <span class="photo">
        {url && <img src={url} alt={look.generated.value ? 'A generated face' : 'Your photo'} />}
        {found?.faces.map(({ index, box }) => (
          <button
            key={index}
            type="button"
            class="face-box"
            aria-pressed={found.chosen?.index === index}
            aria-label={`Face ${index} of ${found.faces.length}`}
            style={{
              left: share(box.x, found.width),
              top: share(box.y, found.height),
              width: share(box.width, found.width),
              height: share(box.height, found.height),
            }}
            onClick={() => void look.choose(index)}
          >
            {found.faces.length > 1 && <span>{index}</span>}
          </button>
        ))}
      </span>
    </div>
  );
}

const ownWords: Record<string, string> = { Male: 'man (else woman)', Young: 'looks young', No_Beard: 'no beard' };

const spoken = (name: string): string => ownWords[name] ?? labelOf(name) ?? name.replaceAll('_', ' ').toLowerCase();

function Attributes({ attributes }: { attributes: readonly AttributeEstimate[] }) {
  const all = useSignal(false);
  const sorted = [...attributes].sort((a, b) => b.probability - a.probability);
  const shown = all.value ? sorted : sorted.slice(0, 8);
  return (
    <section aria-labelledby="attributes-heading">
      <h3 id="attributes-heading">Attributes</h3>
      <ul class="bars">
        {shown.map(({ name, probability }) => (
          <li key={name}>
            <span>{spoken(name)}</span>
            <span class="bar" style={{ '--share': `${100 * probability}%` }} />
            <span class="percent">{Math.round(100 * probability)} %</span>
          </li>
        ))}
      </ul>
      {sorted.length > 8 && (
        <button
          type="button"
          class="quiet"
          aria-expanded={all.value}
          onClick={() => {
            all.value = !all.value;
          }}
        >
          {all.value ? 'The likely ones only' : `All ${sorted.length}`}
        </button>
      )}
    </section>
  );
}

function Chat() {
  const { look } = useStudio();
  const id = useId();
  const busy = look.answering.busy.value;
  const end = useRef<HTMLSpanElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const messages = look.messages.value;
  const open = suggestions.filter((question) => !messages.some(({ text }) => text === question));
  useEffect(() => end.current?.scrollIntoView({ block: 'nearest' }), [messages]);
  return (
    <section class="chat" aria-labelledby="chat-heading">
      <h3 id="chat-heading">Ask</h3>
      {messages.length > 0 && (
        <div class="messages" role="log" aria-label="Conversation" aria-busy={busy} tabIndex={0}>
          {messages.map(({ role, text }, i) => (
            // the conversation only grows: its place is a message's name
            <p key={`${role}${i}`} class={role}>
              <span class="unseen">{role === 'user' ? 'You:' : 'Model:'}</span> {text}
            </p>
          ))}
          <span ref={end} />
        </div>
      )}
      {open.length > 0 && (
        <ul class="examples" aria-label="Questions to begin with">
          {open.map((question) => (
            <li key={question}>
              <button
                type="button"
                class="example"
                disabled={!look.source.value || busy}
                onClick={(event) => {
                  void look.ask(question);
                  // asked, the button goes: keys go on in the field
                  if (event.detail === 0) input.current?.focus();
                }}
              >
                {question}
              </button>
            </li>
          ))}
        </ul>
      )}
      <form
        class="ask-form"
        onSubmit={(event) => {
          event.preventDefault();
          void look.ask(look.draft.value);
        }}
      >
        <label for={id} class="unseen">
          Question
        </label>
        <input
          ref={input}
          id={id}
          type="text"
          autocomplete="off"
          placeholder="Ask about this face"
          value={look.draft.value}
          onInput={(event) => {
            look.draft.value = event.currentTarget.value;
          }}
        />
        {busy ? (
          <button type="button" class="primary" onClick={() => look.answering.cancel()}>
            Stop
          </button>
        ) : (
          <button type="submit" class="primary" disabled={!look.source.value || look.draft.value.trim() === ''}>
            Ask
          </button>
        )}
      </form>
      <RunLine runner={look.answering} hideDone />
      <p class="note">
        Each question stands alone: the model looks at the face anew and does not remember what was said before.
      </p>
    </section>
  );
}

function Sight() {
  const { look, darkroom, create, view } = useStudio();
  const found = look.found.value;
  const crop = found?.chosen?.crop;
  const cropUrl = usePictureUrl(crop);
  const seeing = look.seeing.busy.value;
  const none = found && !found.chosen && !seeing;
  const edit = () => {
    if (!crop) return;
    const face = doneFace(crop, { ...create.settings.value, prompt: look.description.value.slice(0, 200) }, 0, {
      fromPhoto: !look.generated.value,
      madeBy: null,
    });
    view.value = 'create';
    location.hash = 'create';
    darkroom.open(face);
  };
  return (
    <div class="columns look">
      <div class="look-left">
        <PhotoWithBoxes />
        {found && found.faces.length > 1 && (
          <p class="note">{found.faces.length} faces: click the one you mean. The largest is first.</p>
        )}
        <div class="go">
          <button type="button" class="quiet" onClick={() => look.close()}>
            <Icon name="back" /> Another photo
          </button>
          {crop && (
            <button type="button" class="quiet" onClick={edit}>
              Edit this face
            </button>
          )}
        </div>
        <PhotoNote />
      </div>
      <div class="look-right">
        <div class="description">
          {cropUrl && (
            <figure class="print small">
              <img src={cropUrl} alt="The face as the model sees it" />
              <figcaption>as the model sees it</figcaption>
            </figure>
          )}
          <div>
            <h2>{none ? 'No face found' : 'Description'}</h2>
            {none ? (
              <p>Try a photo where the face is larger, upright and seen from the front.</p>
            ) : (
              <p class="prose" aria-live="polite" aria-busy={seeing}>
                {look.description.value || (seeing ? '…' : '')}
              </p>
            )}
            <RunLine runner={look.seeing} hideDone />
          </div>
        </div>
        {!none && <Chat />}
        {found?.chosen && found.chosen.attributes.length > 0 && <Attributes attributes={found.chosen.attributes} />}
      </div>
    </div>
  );
}

export function LookView() {
  const { look } = useStudio();
  return (
    <>
      <h1 class="unseen">Look at a face</h1>
      {look.photo.value ? (
        <Sight />
      ) : (
        <>
          <PhotoPicker />
          <RunLine runner={look.seeing} />
        </>
      )}
    </>
  );
}

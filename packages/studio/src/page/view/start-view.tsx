import { useSignal } from '@preact/signals';
import { useEffect, useId, useRef } from 'preact/hooks';

export function FailedStart({ message }: { message: string }) {
  return (
    <main class="alone">
      <h1>UniF²ace Studio</h1>
      <p role="alert" class="problem">
        {message}
      </p>
      <button type="button" class="primary" onClick={() => location.reload()}>
        Try again
      </button>
    </main>
  );
}

/** What a header can carry. */
const keyPattern = /^[!-~]+$/;

interface KeyFormProps {
  /** Why it asks. */
  problem: string;
  /** Tries the key; the form is shown again where it is the wrong one. */
  onKey(key: string): Promise<void>;
}

export function KeyForm({ problem, onKey }: KeyFormProps) {
  const id = useId();
  const key = useSignal('');
  const trying = useSignal(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const typed = key.value.trim();
  const unfit = typed !== '' && !keyPattern.test(typed);
  // the first time nothing is wrong yet
  const wrong = unfit ? 'key: expected letters, digits and signs without spaces' : problem;
  const asked = !unfit && problem.endsWith('got none');
  return (
    <main class="alone">
      <form
        class="key-form"
        onSubmit={async (event) => {
          event.preventDefault();
          trying.value = true;
          await onKey(typed);
          key.value = '';
          trying.value = false;
        }}
      >
        <h1>UniF²ace Studio</h1>
        <p>This server is locked: it was started with an API key.</p>
        <label for={id}>API key</label>
        <input
          ref={input}
          id={id}
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={key.value}
          aria-describedby={`${id}-note`}
          onInput={(event) => {
            key.value = event.currentTarget.value;
          }}
        />
        <button type="submit" class="primary" disabled={typed === '' || unfit || trying.value}>
          Open the studio
        </button>
        <p role="alert" class="problem">
          {asked ? '' : wrong}
        </p>
        <p id={`${id}-note`} class="note">
          It is kept in this tab until you close it, and sent to this server only.
        </p>
      </form>
    </main>
  );
}

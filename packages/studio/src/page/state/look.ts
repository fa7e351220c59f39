import { batch, computed, signal } from '@preact/signals';
import { type ChatMessage, describeFace, type FaceSource, type FacesInPhoto } from '../engine.ts';
import type { CreateState, Parts } from './create.ts';
import type { HistoryEntry } from './history.ts';
import { Runner } from './runner.ts';

export const suggestions = [
  'Is this a man or a woman?',
  'Is the person smiling?',
  "What color is the person's hair?",
  'Is the person wearing glasses?',
];

/** A photo, the faces in it, and a conversation about one of them. */
export function lookState({ engine, info, preferences }: Parts, create: CreateState) {
  const photo = signal<Blob | undefined>(undefined);
  /** The photo was made here: it is the face and shows nobody. */
  const generated = signal(false);
  const found = signal<FacesInPhoto | undefined>(undefined);
  const description = signal('');
  const messages = signal<readonly ChatMessage[]>([]);
  const draft = signal('');
  const seeing = new Runner();
  const answering = new Runner();

  const source = computed<FaceSource | undefined>(() => {
    if (!photo.value) return undefined;
    if (generated.value) return { picture: photo.value, face: 'aligned' };
    const chosen = found.value?.chosen;
    return chosen && { picture: photo.value, face: chosen.index };
  });

  async function see(face?: FaceSource['face']): Promise<void> {
    const picture = photo.value;
    if (!picture) return;
    answering.reset();
    batch(() => {
      description.value = '';
      messages.value = [];
    });
    await seeing.run(
      'Looking for faces',
      async (signal, report) => {
        const seen = await engine.faces(picture, face, signal);
        signal.throwIfAborted();
        found.value = seen;
        const looked = source.value;
        if (!looked) return;
        report({ state: 'working', note: 'Describing' });
        for await (const piece of describeFace(engine, looked, signal)) {
          signal.throwIfAborted();
          description.value += piece;
        }
      },
      () => (found.value?.chosen ? 'Described' : 'No face found'),
    );
  }

  /** @param own a picture made here, which counts as the face itself. */
  async function open(picture: Blob, own = false): Promise<void> {
    if (picture.size > info.limits.photoBytes) {
      const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
      seeing.fail(
        `photo: expected at most ${mebibytes(info.limits.photoBytes)}, got ${mebibytes(picture.size)}; try a smaller copy`,
      );
      return;
    }
    batch(() => {
      photo.value = picture;
      generated.value = own;
      found.value = undefined;
    });
    await see(own ? 'aligned' : undefined);
  }

  function close(): void {
    seeing.reset();
    answering.reset();
    batch(() => {
      photo.value = undefined;
      found.value = undefined;
      description.value = '';
      messages.value = [];
    });
  }

  const choose = (index: number): Promise<void> => see(index);

  async function ask(text: string): Promise<void> {
    const looked = source.value;
    const question = text.trim();
    if (!looked || !question || answering.busy.value) return;
    const asked: readonly ChatMessage[] = [...messages.value, { role: 'user', text: question }];
    messages.value = asked;
    draft.value = '';
    let answer = '';
    const finished = await answering.run(
      'Answering',
      async (signal) => {
        for await (const piece of engine.ask(looked, asked, signal)) {
          signal.throwIfAborted();
          answer += piece;
          messages.value = [...asked, { role: 'assistant', text: answer }];
        }
        return true;
      },
      () => 'Answered',
    );
    const crop = found.value?.chosen?.crop;
    if (finished && crop && (generated.value || preferences.keepPhotos.value)) {
      const settings = { ...create.settings.value, prompt: description.value };
      create.remember({ kind: 'look', settings, images: [crop], messages: messages.value });
    }
  }

  /** An earlier conversation about a kept face. */
  function restore(entry: HistoryEntry): void {
    const [crop] = entry.images;
    if (!crop) return;
    seeing.reset();
    answering.reset();
    batch(() => {
      photo.value = crop;
      generated.value = true;
      found.value = undefined;
      description.value = entry.settings.prompt;
      messages.value = entry.messages ?? [];
    });
    void seeing.run(
      'Looking',
      async (signal) => {
        found.value = await engine.faces(crop, 'aligned', signal);
      },
      () => 'Restored',
    );
  }

  return {
    photo,
    generated,
    found,
    description,
    messages,
    draft,
    seeing,
    answering,
    source,
    open,
    close,
    choose,
    ask,
    restore,
  };
}

export type LookState = ReturnType<typeof lookState>;

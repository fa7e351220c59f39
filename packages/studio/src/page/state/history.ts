import { type ReadonlySignal, signal } from '@preact/signals';
import type { ChatMessage, GenerateSettings } from '../engine.ts';

/** One thing done on the page, with all that repeats it. */
export interface HistoryEntry {
  /** Ascending with time. */
  id: number;
  /** Milliseconds since 1970. */
  at: number;
  kind: 'generate' | 'edit' | 'sweep' | 'look';
  model: string;
  modelHash?: string;
  settings: GenerateSettings;
  /** Of an edit: the part that was made anew. */
  region?: string;
  /** Values along the axes of a sweep, as they were typed. */
  sweep?: SweepSettings;
  /** PNG files, as they came. Of a photo: its aligned face, only when photos are kept. */
  images: readonly Blob[];
  messages?: readonly ChatMessage[];
}

export type SweepAxis = 'guidance' | 'steps' | 'temperature' | 'candidates' | 'seed';

export interface SweepSettings {
  columns: { axis: SweepAxis; values: string };
  rows: { axis: SweepAxis; values: string };
}

export interface HistoryStore {
  /** The newest first. */
  entries: ReadonlySignal<readonly HistoryEntry[]>;
  /** False where the browser keeps nothing: entries live as long as the page. */
  lasting: ReadonlySignal<boolean>;
  add(entry: Omit<HistoryEntry, 'id' | 'at'>): Promise<void>;
  remove(id: number): Promise<void>;
  clear(): Promise<void>;
}

const storeName = 'entries';
const maxEntries = 200;

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function openDatabase(): Promise<IDBDatabase> {
  const request = indexedDB.open('unif2ace-studio', 1);
  request.onupgradeneeded = () => request.result.createObjectStore(storeName, { keyPath: 'id' });
  return settled(request);
}

/** History in IndexedDB, in memory where there is none. The oldest entries beyond 200 go. */
export function openHistory(): HistoryStore {
  const entries = signal<readonly HistoryEntry[]>([]);
  const lasting = signal(true);
  const database = openDatabase().catch(() => {
    lasting.value = false;
    return undefined;
  });
  const loaded = database.then(async (db) => {
    if (!db) return;
    const all = await settled<HistoryEntry[]>(db.transaction(storeName).objectStore(storeName).getAll());
    // entries older than the setting lack candidates
    entries.value = all
      .map((entry) => ({ ...entry, settings: { ...entry.settings, candidates: entry.settings.candidates ?? 1 } }))
      .sort((a, b) => b.id - a.id);
  });
  const write = async (change: (store: IDBObjectStore) => void) => {
    const db = await database;
    if (!db) return;
    const transaction = db.transaction(storeName, 'readwrite');
    change(transaction.objectStore(storeName));
    await new Promise<void>((resolve) => {
      transaction.oncomplete = () => resolve();
      // a full disk costs the entry's duration, not the picture on the screen
      transaction.onabort = () => {
        lasting.value = false;
        resolve();
      };
    });
  };
  return {
    entries,
    lasting,
    async add(entry) {
      await loaded;
      const at = Date.now();
      const id = Math.max(at, (entries.value[0]?.id ?? 0) + 1);
      const all = [{ ...entry, id, at }, ...entries.value];
      const gone = all.slice(maxEntries);
      entries.value = all.slice(0, maxEntries);
      await write((store) => {
        store.put(all[0]!);
        for (const { id: old } of gone) store.delete(old);
      });
    },
    async remove(id) {
      await loaded;
      entries.value = entries.value.filter((entry) => entry.id !== id);
      await write((store) => store.delete(id));
    },
    async clear() {
      await loaded;
      entries.value = [];
      await write((store) => store.clear());
    },
  };
}

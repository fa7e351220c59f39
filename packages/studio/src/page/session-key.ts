const storageName = 'unif2ace.key';

/** The key of a server, kept until the tab is closed: in `sessionStorage` and nowhere else. */
export class SessionKey {
  #key: string | null = null;

  constructor() {
    try {
      this.#key = sessionStorage.getItem(storageName);
    } catch {
      // where storage is forbidden it lives as long as the page
    }
  }

  set(key: string): void {
    this.#key = key;
    try {
      sessionStorage.setItem(storageName, key);
    } catch {
      // as above
    }
  }

  /** Forgets it; false when there was none. */
  drop(): boolean {
    const had = this.#key !== null;
    this.#key = null;
    try {
      sessionStorage.removeItem(storageName);
    } catch {
      // as above
    }
    return had;
  }

  headers(): Record<string, string> {
    return this.#key === null ? {} : { Authorization: `Bearer ${this.#key}` };
  }
}

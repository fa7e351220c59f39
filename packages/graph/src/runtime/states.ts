import { float32, type Session, SessionError, type TensorValues } from './session.ts';

// R rows of a run, H heads, C positions that a state has room for, d head width

/** Number of a state. */
export type StateId = number;

/** Output rows that go into a state: `count` positions of row `row` of every output named as one of its tensors, put at `at`. */
export interface StateWrite {
  state: StateId;
  row: number;
  at: number;
  count: number;
}

export interface StateRun {
  feeds: TensorValues;
  /** The state of each row; a tensor NAME of the states is fed as `past.NAME` [R, H, C, d]. Empty: none is read. */
  rows: readonly StateId[];
  writes: readonly StateWrite[];
  /** Outputs to return; what is only written is not copied out. */
  fetches: readonly string[];
}

/**
 * Keys and values that stay where the sessions run, instead of travelling with every call: named float32 tensors
 * [1, H, C, d], zero at first. One state per sequence; sequences of one run may come and go.
 */
export interface States {
  /** `shapes` gives [H, C, d] of each tensor. */
  create(shapes: Readonly<Record<string, readonly number[]>>): StateId;
  /** A copy to go on from twice. */
  clone(state: StateId): StateId;
  free(state: StateId): void;
  /** @throws SessionError for a state that was freed or a write beyond its room; as `Session.run` otherwise. */
  run(session: Session, request: StateRun): Promise<TensorValues>;
}

interface KeptTensor {
  readonly shape: readonly [number, number, number];
  readonly data: Float32Array;
}

/** Tensors of several states one after the other, as a run reads them; kept up to date while the same rows run again. */
interface Stack {
  readonly rows: readonly StateId[];
  readonly tensors: Map<string, Float32Array>;
}

/** Stacks that are kept; one per set of rows that take turns. */
const keptStacks = 4;

/** States in the memory of this thread, for sessions of this thread. */
export class LocalStates implements States {
  readonly #states = new Map<StateId, Map<string, KeptTensor>>();
  #stacks: Stack[] = [];
  #nextId = 0;

  create(shapes: Readonly<Record<string, readonly number[]>>): StateId {
    return this.put(this.#nextId, shapes);
  }

  /** As `create`, under a number that the caller chose. */
  put(id: StateId, shapes: Readonly<Record<string, readonly number[]>>): StateId {
    const tensors = Object.entries(shapes).map(([name, [heads, room, width]]): [string, KeptTensor] => [
      name,
      { shape: [heads!, room!, width!], data: new Float32Array(heads! * room! * width!) },
    ]);
    this.#states.set(id, new Map(tensors));
    this.#nextId = Math.max(this.#nextId, id + 1);
    return id;
  }

  clone(state: StateId): StateId {
    return this.putClone(this.#nextId, state);
  }

  /** As `clone`, under a number that the caller chose. */
  putClone(id: StateId, state: StateId): StateId {
    const copies = [...this.#state(state)].map(([name, { shape, data }]): [string, KeptTensor] => [
      name,
      { shape, data: data.slice() },
    ]);
    this.#states.set(id, new Map(copies));
    this.#nextId = Math.max(this.#nextId, id + 1);
    return id;
  }

  free(state: StateId): void {
    this.#states.delete(state);
    this.#stacks = this.#stacks.filter(({ rows }) => !rows.includes(state));
  }

  /** States alive. */
  get count(): number {
    return this.#states.size;
  }

  #state(id: StateId): Map<string, KeptTensor> {
    const state = this.#states.get(id);
    if (!state) throw new SessionError(`states: state ${id} was freed; create another`);
    return state;
  }

  async run(session: Session, { feeds, rows, writes, fetches }: StateRun): Promise<TensorValues> {
    for (const { state, at, count } of writes)
      for (const [name, { shape }] of this.#state(state))
        if (at < 0 || at + count > shape[1])
          throw new SessionError(`states: ${at} + ${count} positions of ${name} exceed the room of ${shape[1]}`);
    const written = writes.flatMap(({ state }) => [...this.#state(state).keys()]);
    const result = await session.run({ ...feeds, ...this.#past(session, rows) }, [
      ...new Set([...fetches, ...written]),
    ]);
    for (const write of writes) this.#write(write, result);
    return Object.fromEntries(fetches.map((name) => [name, result[name]!]));
  }

  /** Of a graph with a single layer some inputs may have fallen away. */
  #past(session: Session, rows: readonly StateId[]): TensorValues {
    if (rows.length === 0) return {};
    const stack = rows.length > 1 ? this.#stacked(rows) : null;
    const past: TensorValues = {};
    for (const [name, { shape, data }] of this.#state(rows[0]!))
      if (session.inputNames.includes(`past.${name}`))
        past[`past.${name}`] = float32(stack?.tensors.get(name) ?? data, [rows.length, ...shape]);
    return past;
  }

  #stacked(rows: readonly StateId[]): Stack {
    const key = rows.join();
    let stack = this.#stacks.find((known) => known.rows.join() === key);
    if (!stack) {
      const tensors = new Map<string, Float32Array>();
      for (const [name, { data }] of this.#state(rows[0]!)) {
        const whole = new Float32Array(rows.length * data.length);
        rows.forEach((row, i) => {
          whole.set(this.#state(row).get(name)!.data, i * data.length);
        });
        tensors.set(name, whole);
      }
      stack = { rows: [...rows], tensors };
    }
    // the latest first
    this.#stacks = [stack, ...this.#stacks.filter((other) => other !== stack)].slice(0, keptStacks);
    return stack;
  }

  #write({ state, row, at, count }: StateWrite, outputs: TensorValues): void {
    const kept = this.#states.get(state);
    // freed while the run was under way
    if (!kept) return;
    const stacks = this.#stacks.filter(({ rows }) => rows.includes(state));
    for (const [name, { shape, data }] of kept) {
      const [heads, room, width] = shape;
      const output = outputs[name]!;
      const given = output.shape[2]!;
      for (let head = 0; head < heads; head++) {
        const from = (row * heads + head) * given * width;
        const values = (output.data as Float32Array).subarray(from, from + count * width);
        const to = (head * room + at) * width;
        data.set(values, to);
        for (const { rows, tensors } of stacks)
          rows.forEach((id, i) => {
            if (id === state) tensors.get(name)!.set(values, i * data.length + to);
          });
      }
    }
  }
}

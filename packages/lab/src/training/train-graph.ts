import {
  buildModel,
  type FlatState,
  gradients,
  type ParamScope,
  type Runtime,
  type Session,
  type Tensor,
  type TensorValue,
  type TensorValues,
} from '@unif2ace/graph';

export interface TrainGraphOptions {
  runtime: Runtime;
  /** Values of parameters that are not trained: they are not in the state and get no gradient. */
  frozen?: ReadonlyMap<string, Float32Array>;
}

/**
 * A compiled training step over a flat state: forward, backward, gradients written into the state in place.
 * Several graphs (one per task or length) may share one state.
 */
export class TrainGraph {
  readonly #session: Session;
  readonly #state: FlatState;
  readonly #parameterFeeds: TensorValues;
  readonly #fetches: TensorValues;
  /** Multiplications and additions of one run, forward and backward. */
  readonly flops: number;

  private constructor(session: Session, state: FlatState, frozen: TensorValues, fetches: TensorValues, flops: number) {
    this.flops = flops;
    this.#session = session;
    this.#state = state;
    const inputs = new Set(session.inputNames);
    this.#parameterFeeds = Object.fromEntries(
      Object.entries({ ...frozen, ...state.feeds() }).filter(([name]) => inputs.has(name)),
    );
    this.#fetches = fetches;
  }

  /** Compiles `loss` and the other float32 `metrics`. Every parameter of the scope is in the state or frozen. */
  static async compile(
    loss: Tensor,
    metrics: Readonly<Record<string, Tensor>>,
    scope: ParamScope,
    state: FlatState,
    options: TrainGraphOptions,
  ): Promise<TrainGraph> {
    const trained = scope.specs().flatMap((spec, i) => (options.frozen?.has(spec.name) ? [] : [{ spec, i }]));
    const tensors = scope.tensors();
    const dParameters = gradients(
      loss,
      trained.map(({ i }) => tensors[i]!),
    );
    const gradient = Object.fromEntries(trained.map(({ spec }, j) => [`grad.${spec.name}`, dParameters[j]!]));
    const model = buildModel({ loss, ...metrics, ...gradient });
    const session = await options.runtime.createSession(model);
    const fetches: TensorValues = {};
    for (const [name, tensor] of Object.entries({ loss, ...metrics })) fetches[name] = buffer(tensor);
    for (const { spec } of trained)
      fetches[`grad.${spec.name}`] = { dtype: 'float32', shape: spec.shape, data: state.grad(spec.name) };
    const frozen: TensorValues = {};
    for (const { name, shape } of scope.specs()) {
      const data = options.frozen?.get(name);
      if (data) frozen[name] = { dtype: 'float32', shape, data };
    }
    return new TrainGraph(session, state, frozen, fetches, model.flops ?? 0);
  }

  /** Runs one batch. Gradients replace those in the state; the metrics' buffers are reused by the next run. */
  async run(feeds: TensorValues): Promise<Record<string, Float32Array>> {
    const values = await this.#session.run({ ...this.#parameterFeeds, ...feeds }, this.#fetches);
    return Object.fromEntries(
      Object.entries(values)
        .filter(([name]) => !name.startsWith('grad.'))
        .map(([name, value]) => [name, value.data as Float32Array]),
    );
  }

  get state(): FlatState {
    return this.#state;
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

function buffer(tensor: Tensor): TensorValue {
  const shape = tensor.shape.map((_, axis) => tensor.dim(axis));
  return { dtype: 'float32', shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) };
}

import { addN } from './ops/elementwise.ts';
import { formatShape, ShapeError, sameShape } from './shape.ts';
import { constant, type Node, type Tensor, topologicalOrder } from './tensor.ts';

/**
 * Gradients of a scalar `loss` with respect to `wrt` by reverse mode, as new tensors of the same graph.
 * A tensor that the loss does not depend on gets zeros.
 * @throws ShapeError when the loss is not a float32 scalar, or an operator on the way has no gradient rule.
 */
export function gradients(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.rank !== 0 || loss.dtype !== 'float32')
    throw new ShapeError(`gradients: expected a float32 scalar loss, got ${loss}; try reduceSum or reduceMean`);
  const order = topologicalOrder([loss], (node) => node.gradInputs);
  const wanted = new Set(wrt.map((tensor) => tensor.node.id));
  const needed = nodesThatReach(order, wanted);

  const pending = new Map<string, Tensor[]>();
  const key = (tensor: Tensor) => `${tensor.node.id}:${tensor.index}`;
  const take = (tensor: Tensor): Tensor | null => {
    const parts = pending.get(key(tensor));
    return parts ? addN(parts) : null;
  };
  pending.set(key(loss), [constant(Float32Array.of(1), [])]);

  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i]!;
    if (!needed.has(node.id) || node.gradInputs.length === 0) continue;
    const dOutputs = node.outputs.map(take);
    if (dOutputs.every((d) => d === null)) continue;
    if (!node.vjp) throw new ShapeError(`gradients: ${node.op} has no gradient rule; try stopGradient before it`);
    const dInputs = node.vjp(dOutputs);
    node.gradInputs.forEach((target, j) => {
      const d = dInputs[j];
      if (!target || !d || !needed.has(target.node.id)) return;
      if (!sameShape(d.shape, target.shape))
        throw new ShapeError(
          `gradients: ${node.op} gave ${formatShape(d.shape)} for its input ${j} of ${formatShape(target.shape)}`,
        );
      const parts = pending.get(key(target));
      if (parts) parts.push(d);
      else pending.set(key(target), [d]);
    });
  }
  return wrt.map((tensor) => take(tensor) ?? zeros(tensor));
}

function zeros(tensor: Tensor): Tensor {
  const shape = tensor.shape.map((_, axis) => tensor.dim(axis));
  return constant(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
}

function nodesThatReach(order: readonly Node[], wanted: ReadonlySet<number>): Set<number> {
  const needed = new Set<number>();
  for (const node of order) {
    if (wanted.has(node.id) || node.gradInputs.some((t) => t !== null && needed.has(t.node.id))) needed.add(node.id);
  }
  return needed;
}

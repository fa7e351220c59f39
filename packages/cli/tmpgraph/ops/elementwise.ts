import { broadcastShapes, type DType, formatShape, ShapeError, sameShape } from '../shape.ts';
import { apply1, scalar, type Tensor, type Vjp } from '../tensor.ts';
import { reduceTo } from './reduce.ts';

type Operand = Tensor | number;

function tensorOf(x: Operand): Tensor {
  return typeof x === 'number' ? scalar(x) : x;
}

function binary(
  op: string,
  a: Tensor,
  b: Tensor,
  gradient: ((dy: Tensor, y: Tensor) => [() => Tensor, () => Tensor]) | null,
  dtype: DType = a.dtype,
): Tensor {
  const what = op.toLowerCase();
  if (a.dtype !== b.dtype) throw new ShapeError(`${what}: expected equal dtypes, got ${a} and ${b}; try cast`);
  const shape = broadcastShapes(a.shape, b.shape, what);
  const vjp: Vjp | null = gradient
    ? ([dy]) => {
        const [da, db] = gradient(dy!, y);
        return [isConstant(a) ? null : reduceTo(da(), a.shape), isConstant(b) ? null : reduceTo(db(), b.shape)];
      }
    : null;
  const y: Tensor = apply1({ op, inputs: [a, b], shape, dtype, ...(vjp && { vjp }) });
  return y;
}

function isConstant(x: Tensor): boolean {
  return x.node.op === 'Constant';
}

/** a + b with broadcasting. */
export function add(x: Operand, z: Operand): Tensor {
  const [a, b] = [tensorOf(x), tensorOf(z)];
  return binary('Add', a, b, (dy) => [() => dy, () => dy]);
}

/** a − b with broadcasting. */
export function sub(x: Operand, z: Operand): Tensor {
  const [a, b] = [tensorOf(x), tensorOf(z)];
  return binary('Sub', a, b, (dy) => [() => dy, () => neg(dy)]);
}

/** a · b elementwise with broadcasting. */
export function mul(x: Operand, z: Operand): Tensor {
  const [a, b] = [tensorOf(x), tensorOf(z)];
  return binary('Mul', a, b, (dy) => [() => mul(dy, b), () => mul(dy, a)]);
}

/** a / b elementwise with broadcasting. */
export function div(x: Operand, z: Operand): Tensor {
  const [a, b] = [tensorOf(x), tensorOf(z)];
  return binary('Div', a, b, (dy, y) => [() => div(dy, b), () => neg(mul(dy, div(y, b)))]);
}

/** Elementwise maximum; at ties the gradient goes to `b`. */
export function maximum(x: Operand, z: Operand): Tensor {
  const [a, b] = [tensorOf(x), tensorOf(z)];
  return binary('Max', a, b, (dy) => {
    const aWins = cast(greater(a, b), 'float32');
    return [() => mul(dy, aWins), () => mul(dy, sub(1, aWins))];
  });
}

/** Sum of equally shaped tensors in one pass. */
export function addN(parts: readonly Tensor[]): Tensor {
  const first = parts[0];
  if (!first) throw new ShapeError('addN: expected at least one tensor');
  if (parts.length === 1) return first;
  for (const part of parts)
    if (!sameShape(part.shape, first.shape))
      throw new ShapeError(
        `addN: expected equal shapes, got ${formatShape(first.shape)} and ${formatShape(part.shape)}`,
      );
  if (parts.length === 2) return add(first, parts[1]!);
  return apply1({
    op: 'Sum',
    inputs: parts,
    shape: first.shape,
    dtype: first.dtype,
    vjp: ([dy]) => parts.map(() => dy!),
  });
}

function unary(op: string, x: Tensor, gradient: (dy: Tensor, y: Tensor) => Tensor): Tensor {
  const y: Tensor = apply1({
    op,
    inputs: [x],
    shape: x.shape,
    dtype: x.dtype,
    vjp: ([dy]) => [gradient(dy!, y)],
  });
  return y;
}

export function neg(x: Tensor): Tensor {
  return unary('Neg', x, (dy) => neg(dy));
}

export function exp(x: Tensor): Tensor {
  return unary('Exp', x, (dy, y) => mul(dy, y));
}

/** Natural logarithm. */
export function log(x: Tensor): Tensor {
  return unary('Log', x, (dy) => div(dy, x));
}

export function sqrt(x: Tensor): Tensor {
  return unary('Sqrt', x, (dy, y) => div(mul(dy, 0.5), y));
}

export function reciprocal(x: Tensor): Tensor {
  return unary('Reciprocal', x, (dy, y) => neg(mul(dy, mul(y, y))));
}

export function square(x: Tensor): Tensor {
  return mul(x, x);
}

export function abs(x: Tensor): Tensor {
  return unary('Abs', x, (dy) => mul(dy, sign(x)));
}

function sign(x: Tensor): Tensor {
  return apply1({ op: 'Sign', inputs: [x], shape: x.shape, dtype: x.dtype });
}

export function sin(x: Tensor): Tensor {
  return unary('Sin', x, (dy) => mul(dy, cos(x)));
}

export function cos(x: Tensor): Tensor {
  return unary('Cos', x, (dy) => neg(mul(dy, sin(x))));
}

export function sigmoid(x: Tensor): Tensor {
  return unary('Sigmoid', x, (dy, y) => mul(dy, mul(y, sub(1, y))));
}

export function tanh(x: Tensor): Tensor {
  return unary('Tanh', x, (dy, y) => mul(dy, sub(1, mul(y, y))));
}

/** Error function. */
export function erf(x: Tensor): Tensor {
  return unary('Erf', x, (dy) => mul(dy, mul(2 / Math.sqrt(Math.PI), exp(neg(mul(x, x))))));
}

function comparison(op: string, x: Operand, z: Operand): Tensor {
  return binary(op, tensorOf(x), tensorOf(z), null, 'bool');
}

export function equal(x: Operand, z: Operand): Tensor {
  return comparison('Equal', x, z);
}

export function greater(x: Operand, z: Operand): Tensor {
  return comparison('Greater', x, z);
}

export function greaterOrEqual(x: Operand, z: Operand): Tensor {
  return comparison('GreaterOrEqual', x, z);
}

/** `condition ? a : b` elementwise with broadcasting. */
export function where(condition: Tensor, x: Operand, z: Operand): Tensor {
  const [a, b] = [tensorOf(x), tensorOf(z)];
  if (condition.dtype !== 'bool') throw new ShapeError(`where: expected a bool condition, got ${condition}`);
  const shape = broadcastShapes(condition.shape, broadcastShapes(a.shape, b.shape, 'where'), 'where');
  return apply1({
    op: 'Where',
    inputs: [condition, a, b],
    shape,
    dtype: a.dtype,
    vjp: ([dy]) => [
      null,
      isConstant(a) ? null : reduceTo(where(condition, dy!, 0), a.shape),
      isConstant(b) ? null : reduceTo(where(condition, 0, dy!), b.shape),
    ],
  });
}

const onnxTypeCode = { float32: 1, int32: 6, int64: 7, bool: 9 } as const;

/** Conversion of the element type; no gradient passes through integers or booleans. */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  return apply1({
    op: 'Cast',
    inputs: [x],
    shape: x.shape,
    dtype,
    attributes: { to: { kind: 'int', value: onnxTypeCode[dtype] } },
    vjp: () => [null],
  });
}

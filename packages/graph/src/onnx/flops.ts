import type { Dim, Shape } from '../shape.ts';
import type { Node } from '../tensor.ts';

/**
 * Counts multiplications and additions of matrix products and convolutions, which are nearly all of a network's work. Rows
 * that a `Split` hands out at run time count at their mean: experts of one shape then add up to what is executed.
 */
export class FlopCounter {
  total = 0;
  readonly #rows = new Map<string, number>();

  #size(dim: Dim): number {
    return typeof dim === 'number' ? dim : (this.#rows.get(dim) ?? 0);
  }

  #elements(shape: Shape): number {
    return shape.reduce<number>((product, dim) => product * this.#size(dim), 1);
  }

  /** Nodes come in the order of computation. */
  add({ op, inputs, outputs, attributes }: Node): void {
    if (op === 'Split') {
      const mean = this.#size(inputs[0]!.shape[0]!) / outputs.length;
      for (const { shape } of outputs) if (typeof shape[0] === 'string') this.#rows.set(shape[0], mean);
    } else if (op === 'MatMul')
      this.total += 2 * this.#elements(outputs[0]!.shape) * this.#size(inputs[0]!.shape.at(-1)!);
    else if (op === 'Gemm') {
      const transposed = attributes.transA?.kind === 'int' && attributes.transA.value === 1;
      this.total += 2 * this.#elements(outputs[0]!.shape) * this.#size(inputs[0]!.shape[transposed ? 0 : 1]!);
    } else if (op === 'Conv' || op === 'ConvTranspose') {
      const [, channels, height, width] = inputs[1]!.shape;
      // each output of a convolution reads, each input of a transposed one is written, so many times
      const image = op === 'Conv' ? outputs[0]! : inputs[0]!;
      this.total += 2 * this.#elements(image.shape) * this.#elements([channels!, height!, width!]);
    }
  }
}

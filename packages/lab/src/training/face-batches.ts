import { float32, type Philox, type TensorValue } from '@unif2ace/graph';

/** Faces of one size in memory, RGB bytes [N, S, S, 3]. */
export interface Faces {
  size: number;
  data: Uint8Array;
}

/** Faces as network input [B, 3, S, S] in −1..1; those in `flipped` are mirrored. */
export function facePixels({ size, data }: Faces, faces: readonly number[], flipped: readonly boolean[]): TensorValue {
  const out = new Float32Array(faces.length * 3 * size * size);
  faces.forEach((face, b) => {
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) {
        const from = ((face * size + y) * size + (flipped[b] ? size - 1 - x : x)) * 3;
        const to = b * 3 * size * size + y * size + x;
        for (let c = 0; c < 3; c++) out[to + c * size * size] = data[from + c]! / 127.5 - 1;
      }
  });
  return float32(out, [faces.length, 3, size, size]);
}

/** Goes through all faces in a new random order each time round. */
export class FaceOrder {
  readonly #faces: readonly number[];
  readonly #random: Philox;
  #left: number[] = [];

  constructor(faces: readonly number[], random: Philox) {
    this.#faces = faces;
    this.#random = random;
  }

  next(count: number): number[] {
    const batch: number[] = [];
    while (batch.length < count) {
      if (this.#left.length === 0) this.#left = this.#random.shuffle([...this.#faces]);
      batch.push(this.#left.pop()!);
    }
    return batch;
  }
}

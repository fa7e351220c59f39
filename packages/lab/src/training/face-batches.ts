import { float32, type TensorValue } from '@unif2ace/graph';

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

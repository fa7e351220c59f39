import { Philox } from '@unif2ace/graph';
import type { BatchPlace } from './loop.ts';

/**
 * Endless sequence of faces that goes through all of them in a new random order each time round. Place i depends on
 * (seed, stream, i) alone, so that a resumed run and every rank of a parallel one know it without the past.
 */
export class FaceOrder {
  readonly #faces: readonly number[];
  readonly #seed: number;
  readonly #stream: number;
  readonly #rounds = new Map<number, readonly number[]>();

  /** @param stream names the sequence: two of one seed differ. @throws RangeError without faces. */
  constructor(faces: readonly number[], seed: number, stream: number) {
    if (faces.length === 0) throw new RangeError('faceOrder: expected at least one face, got none');
    this.#faces = faces;
    this.#seed = seed;
    this.#stream = stream;
  }

  /** Faces at the places first … first + count − 1. */
  slice(first: number, count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.#at(first + i));
  }

  #at(place: number): number {
    const round = Math.floor(place / this.#faces.length);
    let order = this.#rounds.get(round);
    if (!order) {
      order = new Philox(this.#seed, this.#stream, round).shuffle([...this.#faces]);
      this.#rounds.set(round, order);
      this.#rounds.delete(round - 2);
    }
    return order[place % this.#faces.length]!;
  }
}

/** Number that keeps draws of an example apart from those of the order. */
const exampleStream = 0xe;

/** Random numbers of the example at a place of a stream, the same whoever computes it. */
export function exampleRandom(seed: number, stream: number, place: number): Philox {
  return new Philox(seed, stream, place, exampleStream);
}

/** Batches of faces in random order, each mirrored or not. */
export class ImageOrder {
  readonly #order: FaceOrder;
  readonly #seed: number;
  readonly #stream: number;

  constructor(faces: number, seed: number, stream: number) {
    this.#order = new FaceOrder(
      Array.from({ length: faces }, (_, face) => face),
      seed,
      stream,
    );
    this.#seed = seed;
    this.#stream = stream;
  }

  batch({ step, part, parts }: BatchPlace, count: number): { faces: number[]; flipped: boolean[]; first: number } {
    const first = (step * parts + part) * count;
    const faces = this.#order.slice(first, count);
    const flipped = faces.map((_, i) => exampleRandom(this.#seed, this.#stream, first + i).uniform() < 0.5);
    return { faces, flipped, first };
  }
}

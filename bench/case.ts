/** One benchmark on our side: a repetition returns a number that depends on the whole result. */
export interface BenchCase {
  run(): Promise<number>;
  close(): Promise<void>;
}

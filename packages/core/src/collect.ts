/** Runs a generation or an answer to its end: its images, or its whole text. @throws what the run throws. */
export async function collect<T>(run: AsyncGenerator<unknown, T>): Promise<T> {
  for (;;) {
    const { value, done } = await run.next();
    if (done) return value;
  }
}

const retries = 8;

/** Runs an action again while the server is away, for about a minute. @throws the last error. */
export async function overOutages<T>(action: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      if (attempt === retries || !isPassing(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt));
    }
  }
}

/** Errors of a server that is down or starting: connection failures, and the class 57P of PostgreSQL. */
function isPassing(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  return /^(ECONN|EPIPE|ETIMEDOUT|57P0)/.test(code ?? '') || /terminated|ended|closed/i.test(message ?? '');
}

/** Those that haven't fired. */
const pending = new Set<AbortSignal>();

/**
 * A signal that aborts after `milliseconds`, with a TimeoutError, or with one of the signals.
 *
 * `AbortSignal.any` holds its sources weakly, so Node may collect an `AbortSignal.timeout` that nobody else holds, and then
 * it never fires: a request to a server that never answers would wait for ever (nodejs/node#54614).
 */
export function timeLimit(milliseconds: number, ...signals: readonly AbortSignal[]): AbortSignal {
  const timeout = AbortSignal.timeout(milliseconds);
  pending.add(timeout);
  timeout.addEventListener("abort", () => pending.delete(timeout), { once: true });
  return AbortSignal.any([timeout, ...signals]);
}

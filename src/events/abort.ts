import { setMaxListeners } from "node:events";

/** Settles with the promise, or rejects with the signal's reason as soon as that aborts; the promise's end is then ignored. */
export async function orAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  signal.throwIfAborted();
  // Every partition may wait under the one signal of its relay: not a leak, and nothing to warn users of.
  setMaxListeners(0, signal);
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

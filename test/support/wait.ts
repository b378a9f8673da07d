import { setTimeout as sleep } from "node:timers/promises";

/** A machine under load is slow; a test that waits this long has found a defect. Milliseconds. */
export const PATIENCE_MS = 120_000;
const POLL_MS = 20;
/** Of what was waited for already, so that a long wait leaves the processors to those it waits for; up to `POLL_MS_AT_MOST`. */
const POLL_SHARE = 1 / 20;
const POLL_MS_AT_MOST = 50;

/**
 * Polls until `read` gives something that isn't undefined or false, and returns it. Fails with `what` and the last
 * error, if `read` throws to the end.
 */
export async function waitFor<T>(
  what: string,
  read: () => T | undefined | false | Promise<T | undefined | false>,
  timeout: number = PATIENCE_MS,
): Promise<T> {
  const startedAt = performance.now();
  const deadline = startedAt + timeout;
  let problem: unknown;
  do {
    try {
      const value = await read();
      if (value !== undefined && value !== false) return value;
      problem = undefined;
    } catch (error) {
      problem = error;
    }
    const waited = performance.now() - startedAt;
    await sleep(Math.min(POLL_MS_AT_MOST, Math.max(POLL_MS, waited * POLL_SHARE)));
  } while (performance.now() < deadline);
  throw new Error(`waited ${timeout} ms in vain: ${what}`, { cause: problem });
}

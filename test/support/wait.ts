import { setTimeout as sleep } from "node:timers/promises";

/** A machine under load is slow; a test that waits this long has found a defect. Milliseconds. */
export const PATIENCE_MS = 60_000;
const POLL_MS = 20;

/**
 * Polls until `read` gives something that isn't undefined or false, and returns it. Fails with `what` and the last
 * error, if `read` throws to the end.
 */
export async function waitFor<T>(
  what: string,
  read: () => T | undefined | false | Promise<T | undefined | false>,
  timeout: number = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + timeout;
  let problem: unknown;
  do {
    try {
      const value = await read();
      if (value !== undefined && value !== false) return value;
      problem = undefined;
    } catch (error) {
      problem = error;
    }
    await sleep(POLL_MS);
  } while (performance.now() < deadline);
  throw new Error(`waited ${timeout} ms in vain: ${what}`, { cause: problem });
}

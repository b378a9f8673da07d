import { messageOf } from "../errors.ts";

/** Milliseconds an answer is good for, so that probes cost Kafka next to nothing. */
const FRESH_MS = 2_000;
const TIMEOUT_MS = 3_000;

/** Asks `check` at most once at a time and once in two seconds; answers the reason it rejected with, or undefined. */
export function createReadiness(
  check: () => Promise<void>,
  now: () => number = Date.now,
): () => Promise<string | undefined> {
  let last: { at: number; reason: string | undefined } | undefined;
  let pending: Promise<string | undefined> | undefined;

  const ask = async (): Promise<string | undefined> => {
    const reason = await check().then(
      () => undefined,
      (error: unknown) => messageOf(error),
    );
    last = { at: now(), reason };
    return reason;
  };

  return async () => {
    if (last !== undefined && now() - last.at < FRESH_MS) return last.reason;
    pending ??= ask().finally(() => {
      pending = undefined;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(resolve, TIMEOUT_MS, `Kafka has not answered within ${TIMEOUT_MS / 1_000} s`);
    });
    const answer = await Promise.race([pending, late]);
    clearTimeout(timer);
    return answer;
  };
}

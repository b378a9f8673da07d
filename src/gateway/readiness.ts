import { messageOf } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";

/** Milliseconds an answer is good for, so that probes and scrapes cost Kafka next to nothing. */
const FRESH_MS = 2_000;
/** From the question on; whoever comes later waits for what is left of it. */
const TIMEOUT_MS = 3_000;
/** Whoever asks may be a stranger: brokers and topics are for the log. */
const REASON = "Kafka can't take opt-outs now";

/**
 * Asks `check` at most once at a time and once in two seconds; answers undefined if it went well, else what may be told
 * to anyone. What it rejected with is logged, each time it becomes another.
 */
export function createReadiness(
  check: () => Promise<void>,
  logger: Logger,
  now: () => number = Date.now,
): () => Promise<string | undefined> {
  let last: { at: number; ready: boolean } | undefined;
  let pending: { since: number; answer: Promise<boolean> } | undefined;
  let logged: string | undefined;

  const log = (reason: string | undefined): void => {
    if (reason === logged) return;
    logged = reason;
    if (reason === undefined) logger.info("ready again");
    // Before Kafka was there for the first time it is only starting.
    else logger[last?.ready ? "warn" : "info"]({ reason }, "not ready");
  };
  const ask = async (): Promise<boolean> => {
    const reason = await check().then(
      () => undefined,
      (error: unknown) => messageOf(error),
    );
    log(reason);
    last = { at: now(), ready: reason === undefined };
    return last.ready;
  };
  const askInTime = async (): Promise<boolean> => {
    pending ??= {
      since: now(),
      answer: ask().finally(() => {
        pending = undefined;
      }),
    };
    const { since, answer } = pending;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(
        () => {
          // Why, if that is known, says more.
          log(logged ?? `Kafka has not answered within ${TIMEOUT_MS / 1_000} s`);
          resolve(false);
        },
        Math.max(0, since + TIMEOUT_MS - now()),
      );
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  };

  return async () => {
    const ready = last !== undefined && now() - last.at < FRESH_MS ? last.ready : await askInTime();
    return ready ? undefined : REASON;
  };
}

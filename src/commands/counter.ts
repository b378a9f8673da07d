/** Where long work is: a line on a terminal that changes, elsewhere plain ones. Work that is short says nothing. */
export interface Counter {
  count(what: string, of: { done: number; total: number }): void;
  /** Leaves the terminal's line empty, for others to write there. */
  clear(): void;
}

const TERMINAL_EVERY_MS = 100;
const PLAIN_EVERY_MS = 2_000;

/** @param now milliseconds of any monotonic clock */
export function createCounter(
  out: Pick<NodeJS.WriteStream, "isTTY" | "write">,
  now: () => number = () => performance.now(),
): Counter {
  const isTerminal = out.isTTY === true;
  let shownAt = now();
  let isShown = false;
  return {
    count(what, { done, total }) {
      if (now() - shownAt < (isTerminal ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS)) return;
      shownAt = now();
      const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
      const text = `${what}: ${done} of ${total} (${percent} %)`;
      out.write(isTerminal ? `\r\x1b[2K${text}` : `${text}\n`);
      isShown = isTerminal;
    },
    clear() {
      if (isShown) out.write("\r\x1b[2K");
      isShown = false;
    },
  };
}

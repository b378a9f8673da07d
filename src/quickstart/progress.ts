import { styleText } from "node:util";

/** What the quickstart says while it works: steps with their times, and one line that counts. */
export interface Progress {
  /** Runs a step; on a terminal its line is there while it runs. */
  step<T>(name: string, work: (detail: (text: string) => void) => Promise<T>): Promise<T>;
  /** Replaces the counting line on a terminal; elsewhere prints it every two seconds. */
  count(text: string): void;
  line(text?: string): void;
}

const PLAIN_EVERY_MS = 2_000;

/** @param signal a step that fails after it has been stopped, not failed, and isn't shown as failed. */
export function createProgress(
  out: Pick<NodeJS.WriteStream, "isTTY" | "write">,
  signal?: AbortSignal,
): Progress {
  const isTerminal = out.isTTY === true;
  const paint = (style: "green" | "dim" | "red", text: string) =>
    isTerminal ? styleText(style, text) : text;
  let pending = false;
  let countedAt: number | undefined;

  const show = (text: string): void => {
    if (!isTerminal) return;
    out.write(`\r\x1b[2K${text}`);
    pending = true;
  };
  const line = (text = ""): void => {
    if (pending) out.write("\r\x1b[2K");
    pending = false;
    out.write(`${text}\n`);
  };

  return {
    line,
    count(text) {
      if (isTerminal) show(`  ${paint("dim", "…")} ${text}`);
      else {
        // Not the first: nothing has happened then.
        countedAt ??= performance.now();
        if (performance.now() - countedAt < PLAIN_EVERY_MS) return;
        countedAt = performance.now();
        line(`  ${text}`);
      }
    },
    async step(name, work) {
      const startedAt = performance.now();
      show(`  ${paint("dim", "…")} ${name}`);
      let detail = "";
      try {
        const result = await work((text) => {
          detail = text;
          show(`  ${paint("dim", "…")} ${name}: ${text}`);
        });
        const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
        line(`  ${paint("green", "✓")} ${name}${detail && `: ${detail}`} ${paint("dim", `(${seconds} s)`)}`);
        return result;
      } catch (error) {
        if (!signal?.aborted) line(`  ${paint("red", "✗")} ${name}`);
        throw error;
      }
    },
  };
}

import { createInterface } from "node:readline/promises";

/**
 * Asks, and waits for an answer. Anything but a yes is a no: so are the end of the input, and an aborted signal.
 */
export async function confirm(
  question: string,
  {
    input,
    output,
    signal,
  }: { input: NodeJS.ReadableStream; output: NodeJS.WritableStream; signal: AbortSignal },
): Promise<boolean> {
  // Not as a terminal: that would take Ctrl-C from the process.
  const lines = createInterface({ input, output, terminal: false });
  try {
    const ended = new Promise<string>((resolve) => lines.once("close", () => resolve("")));
    const answer = await Promise.race([lines.question(`${question} [y/N] `, { signal }), ended]);
    return /^\s*y(es)?\s*$/i.test(answer);
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  } finally {
    lines.close();
  }
}

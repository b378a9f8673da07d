const CAUSE = /\b(?:ERROR|FATAL)\b|(?:Exception|Error): /;

/** The first lines that tell of a failure: what ends a Java program is often far above its last words. */
export const causesIn = (log: string, lines: number): string[] =>
  log
    .split("\n")
    .filter((line) => CAUSE.test(line))
    .slice(0, lines)
    .map((line) => `  ${line.slice(0, 500)}`);

/** The last lines that say something, indented; Java's stack frames don't. */
export function tailOf(log: string, lines: number): string[] {
  return log
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^\s+(at |\.\.\. \d+ more)/.test(line))
    .slice(-lines)
    .map((line) => `  ${line.slice(0, 300)}`);
}

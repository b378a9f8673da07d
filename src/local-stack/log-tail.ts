/** The last lines that say something, indented; Java's stack frames don't. */
export function tailOf(log: string, lines: number): string[] {
  return log
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^\s+(at |\.\.\. \d+ more)/.test(line))
    .slice(-lines)
    .map((line) => `  ${line.slice(0, 300)}`);
}

import Table from "cli-table3";

const LINES = [
  "top",
  "top-mid",
  "top-left",
  "top-right",
  "bottom",
  "bottom-mid",
  "bottom-left",
  "bottom-right",
  "left",
  "left-mid",
  "mid",
  "mid-mid",
  "right",
  "right-mid",
  "middle",
] as const;

/** Columns without lines or colours: to read, and to cut with awk. Columns named in `right` are aligned to the right. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): string {
  const lines = new Table({
    head: [...head],
    colAligns: head.map((name) => (right.includes(name) ? "right" : "left")),
    style: { head: [], border: [], compact: true, "padding-left": 0, "padding-right": 2 },
    chars: Object.fromEntries(LINES.map((line) => [line, ""])),
  });
  lines.push(...rows.map((row) => [...row]));
  const text = lines.toString().split("\n");
  return `${text.map((line) => line.trimEnd()).join("\n")}\n`;
}

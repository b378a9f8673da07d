import { table } from "../table.ts";
import type { Finding, Result } from "./finding.ts";

export interface Report {
  /** Nothing failed. */
  ok: boolean;
  counts: Record<Result, number>;
  findings: readonly Finding[];
}

export function reportOf(findings: readonly Finding[]): Report {
  const count = (result: Result): number => findings.filter((finding) => finding.result === result).length;
  const counts = {
    ...{
      ok: count("ok"),
      warning: count("warning"),
      failed: count("failed"),
      not_checked: count("not_checked"),
    },
  };
  return { ok: counts.failed === 0, counts, findings };
}

const MIN_DETAIL = 36;
/** Of the columns before the detail, what the gaps take. */
const GAPS = 6;

/** For people: a row for each check, with how to mend it below; and what it comes to. `width` in characters. */
export function reportTable({ findings, counts }: Report, width: number): string {
  const names = findings.map(({ area, name }) => `${area} ${name}`.trim());
  const heads = ["what", "check", "result", "detail"];
  const results = findings.map(({ result }) => result.replace("_", " "));
  const columns = [names, findings.map(({ check }) => check), results];
  const taken = columns.map((column, index) =>
    Math.max(heads[index]?.length ?? 0, ...column.map((text) => text.length)),
  );
  const room = Math.max(MIN_DETAIL, width - GAPS - taken.reduce((sum, each) => sum + each, 0));
  const rows = findings.map(({ check, detail, remedy }, index) => [
    names[index] === names[index - 1] ? "" : (names[index] ?? ""),
    check,
    results[index] ?? "",
    [...wrap(detail, room), ...(remedy === null ? [] : wrap(`> ${remedy}`, room))].join("\n"),
  ]);
  return `${table(heads, rows)}\n${summary(counts)}\n`;
}

function summary({ ok, warning, failed, not_checked: skipped }: Report["counts"]): string {
  const warnings = `${warning} ${warning === 1 ? "warning" : "warnings"}`;
  const numbers = `${ok} ok, ${warnings}, ${failed} failed, ${skipped} not checked`;
  return failed === 0
    ? `${numbers}.`
    : `${numbers}. Nothing was changed; mend what failed (>), then check again.`;
}

/** Lines of at most `width` characters; a word that is longer has a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return line === "" ? lines : [...lines, line];
}

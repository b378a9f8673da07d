import type { EnvironmentResult } from "../results/status.ts";
import type { OptOut } from "./opt-out.ts";
import type { ReportFormat } from "./report.ts";

type Cell = string | number | null;

const COLUMNS: readonly [string, (optOut: OptOut) => Cell][] = [
  ["phone", ({ phone }) => phone],
  ["source", ({ source }) => source],
  ["asked_at_utc", ({ askedAt }) => askedAt],
  ["received_at_utc", ({ receivedAt }) => receivedAt],
  ["completed_at_utc", ({ completedAt }) => completedAt],
  ["outcome", ({ outcome }) => outcome],
  ["time_to_honour_seconds", ({ timeToHonourSeconds }) => timeToHonourSeconds],
  ["time_to_honour_is", ({ timeToHonourIs }) => timeToHonourIs],
  ["counted_from", ({ countedFrom }) => countedFrom],
  ["reason", ({ reason }) => reason],
  ["detail", ({ detail }) => detail],
  ["event_id", ({ eventId }) => eventId],
  ["status_id", ({ statusId }) => statusId],
  ["idempotency_key", ({ idempotencyKey }) => idempotencyKey],
  ["redriven_origin", ({ redrivenOrigin }) => redrivenOrigin],
];

const OF_ENVIRONMENT: readonly [string, (result: EnvironmentResult | undefined) => Cell][] = [
  ["outcome", (result) => result?.outcome ?? null],
  ["acknowledged_at_utc", (result) => result?.acknowledgedAt ?? null],
  ["request_id", (result) => result?.requestId ?? null],
  ["http_status", (result) => result?.httpStatus ?? null],
  ["attempts", (result) => result?.attempts ?? null],
];

/** RFC 4180, in UTF-8: a header, a line for each opt-out, and nothing else. An environment has five columns. */
export function createCsv(): ReportFormat {
  let names: readonly string[] = [];
  return {
    begin({ environments }) {
      names = environments;
      return line([
        ...COLUMNS.map(([title]) => title),
        ...names.flatMap((name) => OF_ENVIRONMENT.map(([title]) => `${name} ${title}`)),
        "other_environments",
      ]);
    },
    optOut(optOut) {
      const resultOf = (name: string) => optOut.environments.find((result) => result.name === name);
      const others = optOut.environments.filter(({ name }) => !names.includes(name));
      return line([
        ...COLUMNS.map(([, cell]) => cell(optOut)),
        ...names.flatMap((name) => OF_ENVIRONMENT.map(([, cell]) => cell(resultOf(name)))),
        others.map(inWords).join("; "),
      ]);
    },
    end: () => "",
  };
}

/** Those that aren't in the configuration any more share a column: how many there were isn't known when the header is written. */
const inWords = ({ name, outcome, acknowledgedAt, requestId }: EnvironmentResult): string =>
  [name, outcome, acknowledgedAt ?? "", requestId ?? ""].join(" ").trimEnd();

const line = (cells: readonly Cell[]): string => `${cells.map(cellText).join(",")}\r\n`;

/** What spreadsheets take for the beginning of a formula (OWASP, CSV Injection). Phones begin with + too. */
const FORMULA = /^[=+\-@＝＋－＠\t\r\n]/;

/** Pure. One rule for all text: what a spreadsheet might calculate has an apostrophe before it. */
export function cellText(value: Cell): string {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

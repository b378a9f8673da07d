import { grouped } from "../grouped.ts";
import type { EnvironmentResult } from "../results/status.ts";
import { STYLE } from "./html-style.ts";
import type { OptOut } from "./opt-out.ts";
import { duration, type ReportFormat, type ReportHead, type ReportRead, remarks } from "./report.ts";
import type { Summary, WorstCase } from "./summary.ts";

/** No browser and no printer is made for more; the numbers are of all, and CSV and JSON list all. */
const MAX_LISTED = 10_000;

/** One page that needs nothing else: no script, nothing loaded, to print or to read in light and dark. */
export function createHtml(maxListed = MAX_LISTED): ReportFormat {
  let head: ReportHead | undefined;
  const listed: OptOut[] = [];
  return {
    begin(given) {
      head = given;
      return "";
    },
    optOut(optOut) {
      if (listed.length < maxListed) listed.push(optOut);
      return "";
    },
    end(summary, read) {
      listed.sort((a, b) => Date.parse(a.receivedAt) - Date.parse(b.receivedAt));
      return head === undefined ? "" : page(head, listed, summary, read);
    },
  };
}

/** Pure. For text and for attributes in double quotes. */
export const escaped = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");

const text = (value: string | number | null): string => (value === null ? "–" : escaped(String(value)));
/** `2026-03-01T09:00:00.000Z` as people read it; the page says that it is UTC. */
const time = (value: string | null): string =>
  value === null
    ? "–"
    : `<time datetime="${escaped(value)}">${escaped(value.replace("T", " ").replace("Z", ""))}</time>`;
const OUTCOMES = { delivered: "honoured", partially_delivered: "partly", rejected: "not honoured" };

const page = (
  head: ReportHead,
  listed: readonly OptOut[],
  summary: Summary,
  read: ReportRead,
): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>Opt-outs received from ${escaped(head.from)} to ${escaped(head.to)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Phone opt-outs, and when they were honoured</h1>
${about(head, read)}
${notes(remarks(head, read))}
${numbers(summary)}
${tables(summary)}
${list(head, listed, summary)}
</body>
</html>
`;

const about = (head: ReportHead, { records, repeats }: ReportRead): string => `<dl>
<dt>Received</dt><dd>from ${time(head.from)} until before ${time(head.to)}</dd>
<dt>Times</dt><dd>UTC. The period is of when an opt-out was received: the timestamp of its record in Kafka.</dd>
<dt>Time to honour</dt><dd>from when the person asked (or, if the producer didn't say, from when it was received) until the last environment had acknowledged it.
A “≤” is before an upper bound: some acknowledgement's time was lost in a restart.</dd>
<dt>Number</dt><dd>${head.phone === null ? "all" : escaped(head.phone)}${head.phonesMasked ? ", all but the last two digits hidden" : ""}</dd>
<dt>Environments</dt><dd>${escaped(head.environments.join(", "))}</dd>
<dt>Made</dt><dd>${time(head.generatedAt)} by optout-relay ${escaped(head.version)} from ${grouped(records)} records of the topic ${escaped(head.topic)}${repeats > 0 ? `, of which ${grouped(repeats)} repeat others` : ""}</dd>
</dl>`;

const notes = (all: readonly string[]): string =>
  all.length === 0
    ? ""
    : `<section class="notes"><h2>What may be missing</h2><ul>${all.map((note) => `<li>${escaped(note)}</li>`).join("")}</ul></section>`;

function numbers(summary: Summary): string {
  const { optOuts, delivered, partiallyDelivered, rejected, timeToHonour } = summary;
  const tiles = [
    ["received", grouped(optOuts)],
    ["honoured everywhere", grouped(delivered)],
    ["honoured in part", grouped(partiallyDelivered)],
    ["not honoured", grouped(rejected)],
    ["half within", duration(timeToHonour.p50)],
    ["90 % within", duration(timeToHonour.p90)],
    ["99 % within", duration(timeToHonour.p99)],
    ["slowest", duration(timeToHonour.max)],
  ];
  const more = [
    `The person's own time is known of ${grouped(summary.asked)} of ${grouped(optOuts)}.`,
    ...(timeToHonour.atMost > 0 ? [`${grouped(timeToHonour.atMost)} of the times are upper bounds.`] : []),
    ...(summary.redriven > 0
      ? [`${grouped(summary.redriven)} were sent again after a rejection, which is listed too.`]
      : []),
  ];
  return `<section><h2>Summary</h2><ul class="tiles">${tiles
    .map(([name = "", value = ""]) => `<li><b>${escaped(value)}</b>${escaped(name)}</li>`)
    .join("")}</ul><p>${escaped(more.join(" "))}</p></section>`;
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = titles.map((title) => `<th scope="col">${escaped(title)}</th>`).join("");
  const body = rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`).join("\n");
  return `<div class="wide"><table><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table></div>`;
}

function tables({ byEnvironment, byReason, slowest, notHonoured }: Summary): string {
  const section = (title: string, titles: readonly string[], rows: readonly string[][]): string =>
    rows.length === 0 ? "" : `<section><h2>${escaped(title)}</h2>${table(titles, rows)}</section>\n`;
  const worst = (each: WorstCase): string[] => [
    ...[text(each.phone), text(each.source), time(each.askedAt), time(each.receivedAt)],
    ...[honoured(each), text(each.reason), text(each.statusId)],
  ];
  const titles = ["phone", "source", "asked", "received", "time to honour", "reason", "status id"];
  return (
    section(
      "By environment",
      ["environment", "accepted", "refused"],
      byEnvironment.map(({ name, accepted, rejected }) => [
        escaped(name),
        grouped(accepted),
        grouped(rejected),
      ]),
    ) +
    section(
      "Why opt-outs were not honoured everywhere",
      ["reason", "opt-outs"],
      byReason.map(({ reason, optOuts }) => [escaped(reason), grouped(optOuts)]),
    ) +
    section("The slowest (20 at most)", titles, slowest.map(worst)) +
    section("Not honoured everywhere, longest ago first (20 at most)", titles, notHonoured.map(worst))
  );
}

const honoured = ({ timeToHonourSeconds, timeToHonourIs, outcome }: WorstCase): string =>
  timeToHonourSeconds === null
    ? OUTCOMES[outcome]
    : `${timeToHonourIs === "at_most" ? "≤ " : ""}${duration(timeToHonourSeconds)}`;

function list({ environments }: ReportHead, listed: readonly OptOut[], { optOuts }: Summary): string {
  const rest =
    optOuts > listed.length
      ? `<p>${grouped(listed.length)} of ${grouped(optOuts)} are listed; the numbers above are of all. Make the report as CSV or JSON to have every one, or of a shorter period.</p>`
      : "";
  if (listed.length === 0)
    return "<section><h2>Opt-outs</h2><p>None was received in this period.</p></section>";
  const others = listed.some((each) => each.environments.some(({ name }) => !environments.includes(name)));
  const titles = ["phone", "asked", "received", "time to honour", ...environments];
  return `<section><h2>Opt-outs</h2>${rest}${table(
    [...titles, ...(others ? ["other environments"] : []), "reason", "source, event id, status id"],
    listed.map((each) => [
      ...[text(each.phone), time(each.askedAt), time(each.receivedAt), honoured(each)],
      ...environments.map((name) => answer(each.environments.find((result) => result.name === name))),
      ...(others ? [otherAnswers(each, environments)] : []),
      each.reason === null ? "–" : `${escaped(each.reason)}<small>${text(each.detail)}</small>`,
      `${escaped(each.source)}<small>${text(each.eventId)}</small><small>${escaped(each.statusId)}</small>${
        each.redrivenOrigin === null ? "" : `<small>sent again for ${escaped(each.redrivenOrigin)}</small>`
      }`,
    ]),
  )}</section>`;
}

function answer(result: EnvironmentResult | undefined): string {
  if (result === undefined) return "not asked";
  const { outcome, acknowledgedAt, requestId, httpStatus } = result;
  const when = acknowledgedAt === null ? "time not known" : time(acknowledgedAt);
  const what = outcome === "accepted" ? when : `refused${httpStatus === null ? "" : ` (HTTP ${httpStatus})`}`;
  return `${what}<small>${requestId === null ? "no request id" : escaped(requestId)}</small>`;
}

const otherAnswers = (each: OptOut, environments: readonly string[]): string =>
  each.environments
    .filter(({ name }) => !environments.includes(name))
    .map((result) => `${escaped(result.name)}: ${answer(result)}`)
    .join("<br>") || "–";

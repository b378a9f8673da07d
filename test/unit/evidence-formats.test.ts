import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { cellText, createCsv } from "../../src/evidence/csv.ts";
import { createHtml, escaped } from "../../src/evidence/html.ts";
import { createJson } from "../../src/evidence/json.ts";
import { type OptOut, optOutOf } from "../../src/evidence/opt-out.ts";
import { duration, type ReportFormat, type ReportRead } from "../../src/evidence/report.ts";
import { createSummarizer } from "../../src/evidence/summary.ts";
import type { FoundStatus } from "../../src/inspect/statuses.ts";
import { accepted, at, HEAD, PHONE, READ, refused, statusOf } from "./evidence-fixture.ts";

function written(format: ReportFormat, statuses: readonly FoundStatus[], read: ReportRead = READ): string {
  const summarizer = createSummarizer(HEAD.environments);
  const lines = statuses.map((status): string => {
    const optOut: OptOut = optOutOf(status, { reveal: false });
    summarizer.add(optOut);
    return format.optOut(optOut);
  });
  const begin = format.begin(HEAD);
  return [begin, ...lines, format.end(summarizer.result(), read)].join("");
}

/** An own reader of RFC 4180. */
function cells(csv: string): string[][] {
  return csv
    .split(/\r\n(?=(?:[^"]*"[^"]*")*[^"]*$)/)
    .slice(0, -1)
    .map((line) =>
      line
        .split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/)
        .map((cell) => (cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell)),
    );
}

describe("the evidence as CSV", () => {
  test("a header and a line for each, with columns for each configured environment and one for others", () => {
    const format = createCsv();
    const header = format.begin(HEAD);
    const status = statusOf(1, {
      ...{ reason: "refused_by_environment", detail: 'said "no", twice', outcome: "partially_delivered" },
      environments: [accepted("production", at(30)), refused("us-west"), accepted("old", at(40))],
    });
    const [titles, row] = cells(header + format.optOut(optOutOf(status, { reveal: true })));
    assert.deepEqual(Object.fromEntries(titles?.map((title, index) => [title, row?.[index]]) ?? []), {
      ...{ phone: `'${PHONE}`, source: "web", asked_at_utc: at(0), received_at_utc: at(10) },
      ...{ completed_at_utc: at(61), outcome: "partially_delivered", time_to_honour_seconds: "" },
      ...{ time_to_honour_is: "", counted_from: "asked", reason: "refused_by_environment" },
      ...{ detail: 'said "no", twice', event_id: "e-1", status_id: "events:0:1", idempotency_key: "key" },
      redriven_origin: "",
      ...{ "production outcome": "accepted", "production acknowledged_at_utc": at(30) },
      ...{
        "production request_id": "r-production",
        "production http_status": "201",
        "production attempts": "1",
      },
      ...{ "us-west outcome": "rejected", "us-west acknowledged_at_utc": "", "us-west request_id": "r-no" },
      ...{ "us-west http_status": "422", "us-west attempts": "2" },
      other_environments: `old accepted ${at(40)} r-old`,
    });
  });

  for (const [text, cell] of [
    ["=1+1", "'=1+1"],
    ["+1", "'+1"],
    ["-1", "'-1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\t=1", "'\t=1"],
    ["＝1", "'＝1"],
    ["\r=1", '"\'\r=1"'],
    ["=1,2", '"\'=1,2"'],
    ["a=1", "a=1"],
    ["", ""],
  ] as const) {
    test(`the text ${JSON.stringify(text)} is the cell ${JSON.stringify(cell)}`, () => {
      assert.equal(cellText(text), cell);
    });
  }

  test("whatever a text holds, a reader finds it, and no spreadsheet calculates it", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const [[cell = ""] = []] = cells(`${cellText(text)},end\r\n`);
        assert.ok(cell === text || cell === `'${text}`);
        assert.doesNotMatch(cell, /^[=+\-@\t\r\n]/);
      }),
    );
  });
});

describe("the evidence as JSON", () => {
  for (const count of [0, 1, 3]) {
    test(`with ${count} opt-outs it is one object, each on a line of its own`, () => {
      const statuses = Array.from({ length: count }, (_, offset) => statusOf(offset));
      const text = written(createJson(), statuses);
      const parsed = JSON.parse(text);
      assert.deepEqual(Object.keys(parsed), ["report", "optOuts", "summary", "read"]);
      assert.deepEqual(
        parsed.optOuts,
        statuses.map((status) => optOutOf(status, { reveal: false })),
      );
      assert.deepEqual([parsed.report, parsed.read, parsed.summary.optOuts], [HEAD, READ, count]);
      assert.equal(text.split("\n").filter((line) => line.startsWith('{"statusId"')).length, count);
    });
  }
});

describe("the evidence as HTML", () => {
  test("it loads nothing, runs nothing, and shows what a record holds as text", () => {
    const evil = `"><script>alert(1)</script><img src=x onerror='1'>`;
    const html = written(createHtml(), [
      statusOf(1, { eventId: evil, source: evil, detail: evil, reason: evil }),
      statusOf(2, { ...{ outcome: "rejected", reason: evil, phone: null }, environments: [refused(evil)] }),
    ]);
    assert.doesNotMatch(html, /<script|<img|<link|<iframe|https?:|url\(|@import/i);
    assert.ok(html.includes(escaped(evil)));
    assert.match(html, /Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/);
    assert.match(html, /prefers-color-scheme: dark/);
    assert.match(html, /@media print/);
    assert.doesNotMatch(html, /5550123/);
  });

  test("it says the period, what it selects by, the zone, and what may be missing", () => {
    const html = written(createHtml(), [statusOf(1)], {
      ...READ,
      unsettled: 3,
      expired: [
        { partition: 2, oldestRecordAt: at(5) },
        { partition: 3, oldestRecordAt: null },
      ],
      unreadable: { records: 1, first: [{ partition: 0, offset: 7, detail: "no <schema>" }] },
      behindTransaction: [{ partition: 1, records: 2 }],
      problem: "The registry is away.",
    });
    assert.match(
      html,
      /from <time datetime="2026-03-01T09:00:00.000Z">2026-03-01 09:00:00.000<\/time> until before/,
    );
    assert.match(html, /UTC\. The period is of when an opt-out was received/);
    for (const says of [
      "3 records of the events topic have no final outcome yet",
      `The oldest record that partition 2 of status still has is of ${at(5)}`,
      "All records of partition 3 of status are gone",
      "1 record of status couldn&#39;t be read, and may be missing here: partition 0, offset 7: no &lt;schema&gt;.",
      "2 records in partition 1 of status can&#39;t be read yet",
      "The registry is away.",
    ]) {
      assert.ok(html.includes(says), says);
    }
    assert.doesNotMatch(written(createHtml(), [statusOf(1)]), /What may be missing/);
  });

  test("opt-outs are listed by when they were received, and no more than a page can bear", () => {
    const received = (offset: number, second: number): FoundStatus =>
      statusOf(offset, { origin: { topic: "events", partition: 0, offset, timestamp: at(second) } });
    const html = written(createHtml(2), [received(1, 40), received(2, 20), received(3, 30)]);
    const list = html.slice(html.indexOf("<h2>Opt-outs</h2>"));
    assert.deepEqual(list.match(/events:0:\d/g), ["events:0:2", "events:0:1"]);
    assert.match(list, /2 of 3 are listed; the numbers above are of all/);
  });
});

test("durations are told in the two units that matter", () => {
  assert.deepEqual([null, 0, 6.25, 60, 59.9, 3_725, 86_400, 190_000].map(duration), [
    "–",
    "0 s",
    "6.25 s",
    "1m 0s",
    "59.9 s",
    "1h 2m",
    "1d 0h",
    "2d 4h",
  ]);
});

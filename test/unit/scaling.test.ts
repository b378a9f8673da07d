import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createBatcher } from "../../src/batching/batcher.ts";
import {
  encodeLedger,
  type LedgerBatch,
  ledgerUsedRatio,
  MAX_LEDGER_CHARS,
} from "../../src/batching/ledger.ts";
import { parseConfig } from "../../src/config/load.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { optOut, recordAt, SCOPE } from "./batching-arbitraries.ts";

/** Rows of the page's table whose first heading is this. */
function rowsOf(heading: string): string[][] {
  const [, table = ""] = readPackageFile("docs/scaling.md").split(`| ${heading} |`);
  const lines = table.split("\n").slice(2);
  const rows = lines.slice(0, lines.indexOf(""));
  assert.ok(rows.length > 4, heading);
  return rows.map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const batchingOf = (maxEntries: string, maxWait: string) =>
  parseConfig({
    kafka: { brokers: ["localhost:9092"] },
    environments: [{ name: "a", baseUrl: "http://localhost:1", auth: { clientId: "a", clientSecret: "b" } }],
    batching: { maxEntries: Number(maxEntries), maxWait },
  }).batching;

/** Batches a second of a partition that gets so many events a second, at even distances, as its batcher cuts them. */
function cutsPerSecond(eventsPerSecond: number, limits: ReturnType<typeof batchingOf>): number {
  const batcher = createBatcher(SCOPE, limits);
  const events = Math.max(1_000, limits.maxEntries * 50);
  let cuts = 0;
  const cutIfDue = (now: number): void => {
    if (batcher.cutAfter(now) === undefined) return;
    batcher.cut();
    cuts++;
  };
  for (let index = 0; index < events; index++) {
    const now = (index * 1_000) / eventsPerSecond;
    if (batcher.deadline !== undefined && batcher.deadline <= now) cutIfDue(batcher.deadline);
    batcher.add(recordAt(index), optOut({ phone: `+1212${String(1_000_000 + index)}` }), now);
    cutIfDue(now);
  }
  return (cuts * eventsPerSecond) / events;
}

/** The most batches of so many events each that the relay would cut before one is settled. */
function batchesInLedger(environments: number, events: number): LedgerBatch[] {
  const batches: LedgerBatch[] = [];
  const next = (): LedgerBatch => ({
    first: batches.length * events,
    last: (batches.length + 1) * events - 1,
    digest: 4_095,
    settled: false,
    acknowledged: new Array(environments).fill(false),
  });
  while (ledgerUsedRatio(0, [...batches, next()], environments) <= 1) batches.push(next());
  return batches;
}

describe("the page on scaling", () => {
  test("tells how many requests a partition's batches make", () => {
    for (const [load, partitions, maxEntries = "", maxWait = "", requests] of rowsOf("opt-outs/s")) {
      const each = Number(load) / Number(partitions);
      const cut = Number(partitions) * cutsPerSecond(each, batchingOf(maxEntries, maxWait));
      const told = Number(requests);
      // A batch is opened by its first event, so what lies between two batches comes on top.
      assert.ok(cut <= told * 1.01 && cut >= told * 0.8, `${load}, ${partitions}: ${cut} instead of ${told}`);
    }
  });

  test("tells how many batches the ledger holds, whatever becomes of them", () => {
    for (const [environments, events, told, inAll] of rowsOf("environments")) {
      const batches = batchesInLedger(Number(environments), Number(events));
      assert.equal(batches.length, Number(told));
      assert.equal(batches.length * Number(events), Number(inAll));
      const names = Array.from({ length: Number(environments) }, (_, index) => `environment-${index}`);
      // The longest: all but the first have been acknowledged by all, so that no column is short.
      const worst = batches.map((batch, index) => ({
        ...batch,
        settled: index > 0,
        acknowledged: batch.acknowledged.map(() => index > 0),
      }));
      assert.ok(encodeLedger(0, worst, names).length <= MAX_LEDGER_CHARS);
    }
  });
});

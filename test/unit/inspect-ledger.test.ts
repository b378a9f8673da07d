import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeLedger, environmentHash, type LedgerBatch } from "../../src/batching/ledger.ts";
import { parseConfig } from "../../src/config/load.ts";
import { describeLedger, ledgerReport } from "../../src/inspect/ledger-report.ts";
import { ledgerOf, type PartitionLedger } from "../../src/inspect/ledgers.ts";

const environmentNamed = (name: string) => ({
  name,
  baseUrl: "https://cxone.example.com",
  auth: { clientId: "relay", clientSecret: "secret" },
});
const config = parseConfig({
  kafka: { brokers: ["kafka:9092"], groupId: "relay" },
  topics: { events: "events", status: "status", deadLetter: "dead-letter" },
  environments: ["production", "us-west"].map(environmentNamed),
});
const NAMES = ["production", "us-west"];

const batch = (first: number, last: number, more: Partial<LedgerBatch> = {}): LedgerBatch => ({
  ...{ first, last, digest: 7, settled: false, acknowledged: [false, false] },
  ...more,
});

const partitionOf = (partition: number, more: Partial<PartitionLedger> = {}): PartitionLedger => ({
  ...{ partition, committedOffset: 100, firstOffset: 0, endOffset: 180, behindTransaction: 0, batches: [] },
  ...{ problem: null, usedRatio: 0, unknownEnvironments: [] },
  ...more,
});

describe("the ledger of a partition", () => {
  test("its batches are read from the commit's metadata, with the room they take", () => {
    const batches = [batch(100, 149, { acknowledged: [true, false] }), batch(150, 160)];
    const ledger = ledgerOf(100, encodeLedger(100, batches, NAMES), NAMES);
    assert.deepEqual(
      { ...ledger, usedRatio: null },
      {
        ...{ committedOffset: 100, batches, problem: null, usedRatio: null, unknownEnvironments: [] },
      },
    );
    assert.ok(ledger.usedRatio > 0 && ledger.usedRatio < 0.05, String(ledger.usedRatio));
  });

  test("environments that only the ledger knows are told by their hashes, each once", () => {
    const batches = [
      batch(100, 149, { acknowledged: [true, false], splits: [undefined, ["acknowledged", "pending"]] }),
      batch(150, 151, { acknowledged: [false, true] }),
    ];
    const ledger = ledgerOf(100, encodeLedger(100, batches, NAMES), ["eu-central"]);
    assert.deepEqual(ledger.unknownEnvironments, NAMES.map(environmentHash).sort());
    assert.deepEqual(
      ledger.batches.map(({ acknowledged }) => acknowledged),
      [[false], [false]],
    );
  });

  test("foreign and damaged metadata is a problem, and no commit is none", () => {
    const metadata = encodeLedger(100, [batch(100, 149)], NAMES);
    assert.equal(ledgerOf(100, "NoError", NAMES).problem, "it wasn't written by this product");
    assert.equal(ledgerOf(101, metadata, NAMES).problem, "its checksum is wrong");
    assert.deepEqual(ledgerOf(-1, "", NAMES), {
      ...{ committedOffset: null, batches: [], problem: null, usedRatio: 0, unknownEnvironments: [] },
    });
  });
});

describe("the ledger report", () => {
  test("names who acknowledged a batch, who has it in pieces and who it waits for", () => {
    const batches = [
      batch(100, 149, { acknowledged: [true, false], splits: [undefined, ["pending", "pending"]] }),
      batch(150, 159, { settled: true, acknowledged: [true, true] }),
      batch(160, 169),
    ];
    const [partition] = ledgerReport(config, [partitionOf(0, { batches })]).partitions;
    assert.deepEqual(partition?.batches, [
      {
        ...{ first: 100, last: 149, settled: false, acknowledged: ["production"] },
        ...{ split: ["us-west"], pending: ["us-west"] },
      },
      { first: 150, last: 159, settled: true, acknowledged: NAMES, split: [], pending: [] },
      { first: 160, last: 169, settled: false, acknowledged: [], split: [], pending: NAMES },
    ]);
  });

  test("the lag counts records that are there, and those that expired unsettled are lost", () => {
    const lags = [
      partitionOf(0),
      partitionOf(1, { committedOffset: null, firstOffset: 30 }),
      partitionOf(2, { firstOffset: 130 }),
      partitionOf(3, { committedOffset: 500 }),
    ];
    const { partitions } = ledgerReport(config, lags);
    assert.deepEqual(
      partitions.map(({ lag, lost }) => [lag, lost]),
      [
        [80, 0],
        [150, 0],
        [50, 30],
        [0, 0],
      ],
    );
  });

  test("people see two tables, and in words what is wrong", () => {
    const text = describeLedger(
      ledgerReport(config, [
        partitionOf(0, {
          batches: [
            batch(100, 149, { acknowledged: [true, false], splits: [undefined, ["pending", "pending"]] }),
            batch(150, 159, { settled: true, acknowledged: [true, true] }),
          ],
          usedRatio: 0.0123,
        }),
        partitionOf(1, { committedOffset: null, problem: null, unknownEnvironments: ["0a0b0c0d"] }),
        partitionOf(2, { firstOffset: 1_130, endOffset: 1_200, problem: "its checksum is wrong" }),
      ]),
    );
    assert.equal(
      text,
      `Consumer group relay, topic events

partition  committed    end  lag  pending batches  settled  ledger used
        0        100    180   80                1        1          1 %
        1       none    180  180                0        0          0 %
        2        100  1,200   70                0        0          0 %

partition  batch    acknowledged by      waits for
        0  100-149  production           us-west (in pieces)
        0  150-159  production, us-west  those before it; it is settled

Partition 1: the ledger also holds acknowledgements of environments that this configuration hasn't (by hash: 0a0b0c0d). They are ignored; is it the relay's own configuration?

Partition 2: 1,030 records expired before they were settled: committed is 100, the first that is left 1130. Those opt-outs must be sent again, and the topic's retention be made longer.

Partition 2: the commit's metadata is no ledger (its checksum is wrong). Something else may have committed for the group relay. What was acknowledged there is unknown; the relay cuts and sends those batches anew.
`,
    );
  });

  test("records behind an open transaction are told of", () => {
    const report = ledgerReport(config, [partitionOf(4, { behindTransaction: 30 })]);
    assert.deepEqual(
      report.partitions.map(({ lag, behindTransaction }) => [lag, behindTransaction]),
      [[80, 30]],
    );
    assert.match(
      describeLedger(report),
      /^30 records wait behind an open transaction in partition 4 of events: /m,
    );
  });

  test("of a full ledger people see the first batches", () => {
    const batches = Array.from({ length: 23 }, (_, index) => batch(100 + index, 100 + index));
    const lines = describeLedger(ledgerReport(config, [partitionOf(0, { batches })])).split("\n");
    assert.equal(lines.filter((line) => line.includes("production, us-west")).length, 20);
    assert.ok(lines.some((line) => line.includes("and 3 more") && line.includes("--json has all")));
  });
});

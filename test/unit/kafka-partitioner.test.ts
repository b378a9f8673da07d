import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Message, Partitioners } from "kafkajs";
import { createPartitioner, createPartitioning, murmur2 } from "../../src/kafka/partitioner.ts";

const partitionsOf = (leaders: readonly number[]) =>
  leaders.map((leader, partitionId) => ({
    ...{ partitionErrorCode: 0, partitionId, leader },
    ...{ replicas: [], isr: [], offlineReplicas: [] },
  }));

describe("partitioner", () => {
  it("hashes as Kafka's own client does (values of its UtilsTest)", () => {
    const known: Record<string, number> = {
      "21": -973932308,
      foobar: -790332482,
      "a-little-bit-long-string": -985981536,
      "a-little-bit-longer-string": -1486304829,
      lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
      abc: 479470107,
    };
    for (const [key, hash] of Object.entries(known)) assert.equal(murmur2(Buffer.from(key)), hash, key);
  });

  it("chooses the partitions that kafkajs chooses, by key or as the message says", () => {
    const ours = createPartitioner();
    const theirs = Partitioners.DefaultPartitioner();
    const key = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      fc.string({ unit: "binary", maxLength: 40 }),
    );
    const partition = fc.option(fc.nat(30), { nil: undefined });
    fc.assert(
      fc.property(key, partition, fc.integer({ min: 1, max: 50 }), (key, partition, count) => {
        const message = { key, value: null, ...(partition !== undefined && { partition }) } satisfies Message;
        const args = { topic: "t", partitionMetadata: partitionsOf(new Array(count).fill(1)), message };
        assert.equal(ours(args), theirs(args));
      }),
      { numRuns: 5_000 },
    );
  });

  it("goes round the partitions that have a leader when there is no key", () => {
    const partitioner = createPartitioner();
    const partitionMetadata = partitionsOf([1, -1, 2, 3]);
    const chosen = Array.from({ length: 30 }, () =>
      partitioner({ topic: "t", partitionMetadata, message: { key: null, value: null } }),
    );
    for (const partition of [0, 2, 3]) assert.equal(chosen.filter((each) => each === partition).length, 10);
  });

  it("knows where records go once it has seen how many partitions there are, until that may have changed", () => {
    const { partitioner, partitionOf, forget } = createPartitioning();
    const record = { key: "+12125550123", value: null };
    assert.equal(partitionOf("t", record), undefined);
    const chosen = partitioner({
      topic: "t",
      partitionMetadata: partitionsOf([1, 1, 1, 1, 1]),
      message: record,
    });
    assert.equal(partitionOf("t", record), chosen);
    assert.equal(partitionOf("t", { ...record, partition: 3 }), 3);
    assert.equal(partitionOf("t", { key: null, value: null }), undefined, "those without a key go in turn");
    assert.equal(partitionOf("another", record), undefined);
    forget();
    assert.equal(partitionOf("t", record), undefined);
  });

  it("refuses a partition that isn't there: kafkajs would drop the record", () => {
    const { partitioner } = createPartitioning();
    const message = { value: "a", partition: 2 };
    const partitionMetadata = partitionsOf([1, 1]);
    assert.throws(() => partitioner({ topic: "t", partitionMetadata, message }), {
      message: 'topic "t" has no partition 2',
      retriable: true,
    });
  });
});

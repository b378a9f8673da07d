import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Kafka, logLevel } from "kafkajs";
import { OptoutError } from "../../src/errors.ts";
import type { Broker, Cluster, OffsetQuery } from "../../src/kafka/cluster.ts";
import { readTopic } from "../../src/kafka/topic-reader.ts";

/** What compaction left of a batch: the offsets it spans, and those of its records that are still there. */
interface StoredBatch {
  first: number;
  last: number;
  left: readonly number[];
}

const batch = (first: number, last: number, ...left: number[]): StoredBatch => ({ first, last, left });

/** A partition as a broker keeps it. A fetch gives the batches of one segment, from the one that holds the offset on. */
function fakeKafka(segments: readonly (readonly StoredBatch[])[]) {
  const last = segments.at(-1)?.at(-1)?.last ?? -1;
  const fetched: number[] = [];
  const broker: Broker = {
    connectionPool: { getConnection: async () => undefined },
    async fetch({ topics }) {
      const offset = Number(topics[0]?.partitions[0]?.fetchOffset);
      fetched.push(offset);
      const segment = segments.find((batches) => batches.some((each) => each.last >= offset)) ?? [];
      const messages = segment
        .filter((each) => each.last >= offset)
        .flatMap(({ left }) => left)
        .map((each) => ({
          ...{ key: null, value: Buffer.from(String(each)), timestamp: "0", attributes: 0 },
          ...{ offset: String(each), headers: {} },
        }));
      const partition = { partition: 0, highWatermark: String(last + 1), messages };
      return { responses: [{ partitions: [partition] }] };
    },
  };
  const cluster: Cluster = {
    connect: async () => {},
    disconnect: async () => {},
    addTargetTopic: async () => {},
    refreshMetadata: async () => {},
    findTopicPartitionMetadata: () => [{ partitionId: 0, leader: 1 }],
    findBroker: async () => broker,
    fetchTopicsOffset: async (queries: readonly OffsetQuery[]) =>
      queries.map(({ topic, fromBeginning }) => ({
        topic,
        partitions: [{ partition: 0, offset: String(fromBeginning ? 0 : last + 1) }],
      })),
  };
  const kafka = new Kafka({ brokers: ["nowhere:1"], logLevel: logLevel.NOTHING });
  const key = Object.getOwnPropertySymbols(kafka).find(({ description }) =>
    description?.endsWith("createCluster"),
  );
  assert.ok(key);
  Reflect.set(kafka, key, () => cluster);
  return { kafka, fetched };
}

async function offsetsRead(segments: readonly (readonly StoredBatch[])[]) {
  const { kafka, fetched } = fakeKafka(segments);
  const offsets: number[] = [];
  let progress: unknown;
  // Were it to fetch for ever, this ends it.
  const stop = new AbortController();
  for await (const slice of readTopic({ kafka, brokers: ["nowhere:1"], topic: "t", signal: stop.signal })) {
    offsets.push(...slice.messages.map(({ offset }) => Number(offset)));
    progress = slice.progress;
    if (fetched.length > 30_000) stop.abort(new Error("it fetches for ever"));
  }
  return { offsets, progress, fetched };
}

describe("reading what compaction left of a topic", () => {
  test("a batch whose last records are gone, at the end of a segment, is left behind", async () => {
    const { offsets, progress, fetched } = await offsetsRead([[batch(0, 3, 0, 1)], [batch(4, 5, 4, 5)]]);
    assert.deepEqual(offsets, [0, 1, 4, 5]);
    assert.deepEqual(progress, { done: 6, total: 6 });
    assert.deepEqual(fetched, [0, 2, 3, 4]);
  });

  test("records behind a batch that was emptied are read", async () => {
    const emptied = [[batch(0, 2)], [batch(3, 4)], [batch(5, 6, 5)], [batch(7, 9)], [batch(10, 10, 10)]];
    const { offsets, progress } = await offsetsRead(emptied);
    assert.deepEqual(offsets, [5, 10]);
    assert.deepEqual(progress, { done: 11, total: 11 });
  });

  test("it ends where nothing is left before the end", async () => {
    const { offsets, progress } = await offsetsRead([[batch(0, 1, 0, 1)], [batch(2, 40)]]);
    assert.deepEqual(offsets, [0, 1]);
    assert.deepEqual(progress, { done: 41, total: 41 });
  });

  test("more emptiness than a batch can hold is an error, not an end", async () => {
    const endless = [[batch(0, 0, 0)], [batch(1, 50_000)], [batch(50_001, 50_001, 50_001)]];
    await assert.rejects(
      offsetsRead(endless),
      (error) => error instanceof OptoutError && /Partition 0 .*"t" gave no record/.test(error.message),
    );
  });
});

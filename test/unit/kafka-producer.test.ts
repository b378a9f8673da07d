import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kafka, Message } from "kafkajs";
import createKafkajsProducer from "kafkajs/src/producer/index.js";
import { createRecordProducer, requestsOf } from "../../src/kafka/producer.ts";

const kilobytes = (count: number, key: string): Message => ({ key, value: Buffer.alloc(count * 1024) });
const shape = (records: ReturnType<typeof requestsOf>) =>
  records.map((request) =>
    request.map(({ topic, messages }) => `${topic}:${messages.map(({ key }) => key).join("")}`),
  );

test("few records go in one request, by topic", () => {
  const records = [
    { topic: "a", messages: [kilobytes(1, "1"), kilobytes(1, "2")] },
    { topic: "b", messages: [kilobytes(1, "3")] },
  ];
  assert.deepEqual(shape(requestsOf(records)), [["a:12", "b:3"]]);
  assert.equal(records[0]?.messages.length, 2);
});

test("no request holds more than a broker takes in one record batch, and order is kept", () => {
  const records = [
    { topic: "a", messages: [kilobytes(300, "1"), kilobytes(300, "2"), kilobytes(300, "3")] },
    { topic: "b", messages: [kilobytes(400, "4"), kilobytes(1, "5")] },
  ];
  assert.deepEqual(shape(requestsOf(records)), [["a:12"], ["a:3", "b:45"]]);
});

test("a record larger than that goes alone", () => {
  const records = [{ topic: "a", messages: [kilobytes(1, "1"), kilobytes(900, "2"), kilobytes(1, "3")] }];
  assert.deepEqual(shape(requestsOf(records)), [["a:1"], ["a:2"], ["a:3"]]);
});

test("headers count, tombstones do not hurt, nothing makes no request", () => {
  const headers = { big: [Buffer.alloc(500 * 1024), "x"] };
  const records = [
    {
      topic: "a",
      messages: [
        { key: null, value: null, headers },
        { value: null, headers },
      ],
    },
  ];
  assert.equal(requestsOf(records).length, 2);
  assert.deepEqual(requestsOf([]), []);
  assert.deepEqual(requestsOf([{ topic: "a", messages: [] }]), []);
});

interface ProduceRequest {
  topicData: { topic: string; partitions: { partition: number; messages: { value: string }[] }[] }[];
}

/** Two brokers under kafkajs' own producer: A leads partition 0, and B partition 1 until it is asked, when A takes over. */
function movingLeader(failWith: () => Error) {
  const arrived: string[] = [];
  let leaderOf1 = "B";
  const brokerOf = (nodeId: string) => ({
    nodeId,
    async produce({ topicData }: ProduceRequest) {
      if (nodeId === "B") {
        leaderOf1 = "A";
        throw failWith();
      }
      const partitions = topicData.flatMap(({ partitions: each }) => each);
      for (const { messages } of partitions) arrived.push(...messages.map(({ value }) => String(value)));
      return {
        topics: topicData.map(({ topic, partitions: each }) => ({
          topicName: topic,
          partitions: each.map(({ partition }) => ({ partition, errorCode: 0, offset: "0" })),
        })),
      };
    },
  });
  const brokers = new Map(["A", "B"].map((nodeId) => [nodeId, brokerOf(nodeId)]));
  const leaderOf = (partition: number): string => (partition === 0 ? "A" : leaderOf1);
  const cluster = {
    retry: {},
    isConnected: () => true,
    connect: async () => {},
    disconnect: async () => {},
    addMultipleTargetTopics: async () => {},
    refreshMetadata: async () => {},
    refreshMetadataIfNecessary: async () => {},
    removeBroker() {},
    findTopicPartitionMetadata: () =>
      [0, 1].map((partitionId) => ({ partitionId, leader: leaderOf(partitionId) })),
    findLeaderForPartitions: (_topic: string, partitions: string[]) => {
      const byLeader: Record<string, number[]> = {};
      for (const partition of partitions.map(Number)) {
        byLeader[leaderOf(partition)] = [...(byLeader[leaderOf(partition)] ?? []), partition];
      }
      return byLeader;
    },
    findBroker: async ({ nodeId }: { nodeId: string }) => brokers.get(nodeId),
  };
  const silent = { debug() {}, info() {}, warn() {}, error() {}, namespace: () => silent };
  const kafka = {
    producer: (options: object) => createKafkajsProducer({ cluster, logger: silent, ...options }),
  } as unknown as Kafka;
  return { kafka, arrived };
}

const RECORDS = [
  {
    topic: "status",
    messages: [
      { value: "to A", partition: 0 },
      { value: "to B", partition: 1 },
    ],
  },
];

/** As kafkajs makes of a broker's error code. */
const brokerError = (type: string, retriable: boolean): Error =>
  Object.assign(new Error(type), { name: "KafkaJSProtocolError", type, retriable });

test("records whose partition moves to a broker that has answered already arrive all the same", async () => {
  const { kafka, arrived } = movingLeader(() => brokerError("NOT_LEADER_FOR_PARTITION", true));
  const producer = createRecordProducer(kafka);
  await producer.connect();
  await producer.send(RECORDS);
  assert.deepEqual(new Set(arrived), new Set(["to A", "to B"]));
});

test("what no retry can mend is told at once", async () => {
  const { kafka, arrived } = movingLeader(() => brokerError("MESSAGE_TOO_LARGE", false));
  const producer = createRecordProducer(kafka);
  await producer.connect();
  await assert.rejects(producer.send(RECORDS), /MESSAGE_TOO_LARGE/);
  assert.deepEqual(arrived, ["to A"]);
});

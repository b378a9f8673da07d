import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { askCluster, askGroup } from "../../src/kafka/questions.ts";

const int8 = (value: number): Buffer => Buffer.of(value);
const int16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
};
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const text = (value: string | null): Buffer =>
  value === null ? int16(-1) : Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);
const bytes = (value: Buffer): Buffer => Buffer.concat([int32(value.length), value]);
const array = (...items: Buffer[]): Buffer => Buffer.concat([int32(items.length), ...items]);

/** Bits 3 and 8: READ and DESCRIBE. */
const READ_DESCRIBE = (1 << 3) | (1 << 8);
const NOT_SAID = -(2 ** 31);

const CLUSTER = Buffer.concat([
  int32(0),
  array(Buffer.concat([int32(7), text("kafka-1"), int32(9092), text(null)])),
  text("cluster-id"),
  int32(7),
  array(
    Buffer.concat([
      ...[int16(0), text("events"), int8(0)],
      array(
        Buffer.concat([
          ...[int16(0), int32(0), int32(7), int32(4), array(int32(7), int32(8)), array(int32(7)), array()],
        ]),
      ),
      int32(READ_DESCRIBE),
    ]),
    Buffer.concat([int16(3), text("absent"), int8(0), array(), int32(NOT_SAID)]),
  ),
  int32(NOT_SAID),
]);

const groupOf = (protocolType: string, metadata: Buffer): Buffer =>
  Buffer.concat([
    int32(0),
    array(
      Buffer.concat([
        ...[int16(0), text("g"), text("Stable"), text(protocolType), text("range")],
        array(
          Buffer.concat([text("id"), text("billing"), text("/1"), bytes(metadata), bytes(Buffer.alloc(0))]),
        ),
        int32(READ_DESCRIBE),
      ]),
    ),
  ]);
/** Version, topics, user data, as consumers write it. */
const SUBSCRIPTION = Buffer.concat([int16(0), array(text("bills")), bytes(Buffer.alloc(0))]);

describe("questions that kafkajs doesn't ask", () => {
  test("of the cluster never create a topic, and ask what the user may do with each", () => {
    const { apiKey, apiVersion, body } = askCluster(["a", "bc"]);
    assert.deepEqual([apiKey, apiVersion], [3, 8]);
    assert.equal(body.toString("hex"), "00000002" + "000161" + "00026263" + "00" + "00" + "01");
  });

  test("of the cluster are answered by brokers, topics, replicas and what is allowed", () => {
    assert.deepEqual(askCluster([]).decode(CLUSTER), {
      clusterId: "cluster-id",
      brokers: [{ nodeId: 7, address: "kafka-1:9092" }],
      topics: [
        {
          ...{ name: "events", errorCode: 0, allowed: new Set(["READ", "DESCRIBE"]) },
          partitions: [{ partition: 0, leader: 7, replicas: [7, 8], inSync: [7] }],
        },
        { name: "absent", errorCode: 3, partitions: [], allowed: undefined },
      ],
    });
  });

  test("of a group are answered by its members and what they read", () => {
    assert.deepEqual(askGroup("g").decode(groupOf("consumer", SUBSCRIPTION)), {
      ...{ errorCode: 0, state: "Stable", protocolType: "consumer", protocol: "range" },
      members: [{ clientId: "billing", topics: ["bills"] }],
      allowed: new Set(["READ", "DESCRIBE"]),
    });
  });

  test("of a group tell nothing of what members read while they haven't said, or aren't consumers", () => {
    for (const answer of [groupOf("consumer", Buffer.alloc(0)), groupOf("connect", SUBSCRIPTION)]) {
      assert.deepEqual(askGroup("g").decode(answer).members, [{ clientId: "billing", topics: undefined }]);
    }
  });

  test("answered in part fail rather than tell half of it", () => {
    for (let length = 0; length < CLUSTER.length; length++) {
      assert.throws(() => askCluster([]).decode(CLUSTER.subarray(0, length)), RangeError, `${length} bytes`);
    }
  });
});

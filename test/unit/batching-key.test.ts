import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { sliceOf } from "../../src/batching/batch.ts";
import {
  batchOf,
  build,
  inputs,
  optOut,
  phoneOf,
  recordAt,
  rejected,
  SCOPE,
} from "./batching-arbitraries.ts";

describe("batch: key", () => {
  test("it names topic, partition and offsets, and ends in 16 hex digits", () => {
    fc.assert(
      fc.property(inputs(20), (events) => {
        const batch = build(events);
        assert.match(batch.key, /^opt-out-events:3:\d+-\d+:[0-9a-f]{16}$/);
        assert.ok(batch.key.startsWith(`opt-out-events:3:${batch.first}-${batch.last}:`));
      }),
    );
  });

  test("its digits are SHA-256 over cluster id, topic and exact body", () => {
    const batch = batchOf({ phone: phoneOf(1) });
    const digest = createHash("sha256")
      .update("cluster-1\nopt-out-events\n")
      .update('[{"phone":"+12125550001","type":"dncl","source":"web"}]')
      .digest("hex");
    assert.equal(batch.key, `opt-out-events:3:0-0:${digest.slice(0, 16)}`);
  });

  test("the same events make the same key and the same bytes, always", () => {
    fc.assert(
      fc.property(inputs(50), (events) => {
        const again = structuredClone(events).map((event) => ({
          ...event,
          record: { ...event.record, key: Buffer.from("another") },
        }));
        assert.equal(build(again).key, build(events).key);
        assert.ok(build(again).body.equals(build(events).body));
      }),
    );
  });

  test("it changes with the cluster, the topic, the partition, the range and the body", () => {
    const event = { record: recordAt(7), decoded: optOut({ phone: phoneOf(1) }), now: 0 };
    const keys = [
      build([event]),
      build([event], { ...SCOPE, clusterId: "cluster-2" }),
      build([event], { ...SCOPE, topic: "other" }),
      build([event], { ...SCOPE, partition: 4 }),
      build([{ ...event, record: recordAt(8) }]),
      build([event, { ...event, record: recordAt(8) }]),
      build([{ ...event, decoded: optOut({ phone: phoneOf(2) }) }]),
      build([{ ...event, decoded: optOut({ phone: phoneOf(1), source: "ivr" }) }]),
    ].map(({ key }) => key);
    assert.equal(new Set(keys).size, keys.length);
    const digest = (key: string | undefined) => key?.slice(-16);
    assert.notEqual(digest(keys[0]), digest(keys[1]), "another cluster's digest must differ");
  });
});

describe("batch: slices", () => {
  test("all entries are the batch itself", () => {
    const batch = batchOf({ phone: phoneOf(1) }, { phone: phoneOf(2) });
    assert.equal(sliceOf(SCOPE, batch, 0, 2), batch);
  });

  test("each has a key of its own, of the offsets that first asked for its entries, and its own body", () => {
    const batch = batchOf(
      rejected,
      { phone: phoneOf(1) },
      { phone: phoneOf(2) },
      { phone: phoneOf(1) },
      { phone: phoneOf(3) },
    );
    const slice = sliceOf(SCOPE, batch, 1, 3);
    assert.match(slice.key, /^opt-out-events:3:2-4:[0-9a-f]{16}$/);
    assert.deepEqual(
      slice.entries.map(({ phone }) => phone),
      [phoneOf(2), phoneOf(3)],
    );
    assert.deepEqual(JSON.parse(slice.body.toString("utf8")), slice.entries);
  });

  test("no two slices of a batch share a key, and cut again they are the same", () => {
    fc.assert(
      fc.property(inputs(15), (events) => {
        const batch = build(events);
        const keys = new Map<string, string>();
        for (let from = 0; from < batch.entries.length; from++) {
          for (let to = from + 1; to <= batch.entries.length; to++) {
            const slice = sliceOf(SCOPE, batch, from, to);
            assert.equal(keys.has(slice.key), false, slice.key);
            keys.set(slice.key, slice.body.toString("utf8"));
            const again = sliceOf(SCOPE, build(structuredClone(events)), from, to);
            assert.equal(again.key, slice.key);
            assert.ok(again.body.equals(slice.body));
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});

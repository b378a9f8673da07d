import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { IHeaders, KafkaMessage } from "kafkajs";
import type { SourceRecord } from "../../src/batching/batch.ts";
import { deferred } from "../../src/deferred.ts";
import type { Decoder } from "../../src/events/decode.ts";
import type { SchemaId } from "../../src/events/registry-client.ts";
import { createSlot } from "../../src/relay/slot.ts";
import { type Harness, optOut, settled, start } from "./relay-partition-fixture.ts";

const message = (offset: number, key: Buffer | null = null, headers: IHeaders = {}): KafkaMessage => ({
  offset: String(offset),
  timestamp: "1700000000000",
  key,
  value: Buffer.from(String(offset)),
  attributes: 0,
  headers,
});
/** From before Kafka had headers. */
const oldMessage = (offset: number): KafkaMessage => ({
  offset: String(offset),
  timestamp: "1700000000000",
  key: null,
  value: Buffer.from(String(offset)),
  attributes: 0,
  size: 0,
});
const messages = (count: number): KafkaMessage[] =>
  Array.from({ length: count }, (_, offset) => message(offset));

/** A phone for every record; those in `needs` first need a schema of that id. */
function slotOver(
  harness: Harness,
  needs: Record<number, number> = {},
  onDecode = () => {},
  wait: () => Promise<void> | undefined = () => undefined,
) {
  const calls: string[] = [];
  const loaded = new Set<SchemaId>();
  const loads: { id: SchemaId; resolve(): void; reject(error: Error): void }[] = [];
  const decode: Decoder = ({ value }) => {
    onDecode();
    const schemaId = needs[Number(value)];
    if (schemaId !== undefined && !loaded.has(schemaId)) return { schemaId };
    return optOut({ phone: `+1212555${String(value).padStart(4, "0")}` });
  };
  const slot = createSlot({
    partition: harness.partition,
    decode,
    loadSchema: (id) =>
      new Promise((resolve, reject) => {
        loads.push({
          id,
          resolve() {
            loaded.add(id);
            resolve();
          },
          reject,
        });
      }),
    pause: () => calls.push("pause"),
    resume: () => calls.push("resume"),
    brake: { wait },
  });
  return { slot, calls, loads };
}

/** Reads, and lets the time pass that a schema is waited for in place. */
async function readPatiently(harness: Harness, read: Promise<number>): Promise<number> {
  await settled();
  harness.pass(100);
  return read;
}

describe("a slot", () => {
  test("hands records to its partition as Kafka has them", async (t) => {
    const harness = start(t, { limits: { maxEntries: 1 } });
    const { slot } = slotOver(harness);
    const key = Buffer.from("key");
    const headers = { trace: Buffer.from("1"), twice: ["a", "b"] };
    assert.equal(await slot.read([message(7, key, headers), oldMessage(8)], () => true), 2);
    const records =
      harness.seals.length === 2 && harness.partition.sealed.map(({ batch }) => batch.events[0]?.record);
    assert.deepEqual(records, [
      { offset: 7, timestamp: 1_700_000_000_000, key, value: Buffer.from("7"), headers },
      { offset: 8, timestamp: 1_700_000_000_000, key: null, value: Buffer.from("8"), headers: {} },
    ] satisfies SourceRecord[]);
  });

  test("stops at the record that its partition has no room for, and says how many were taken", async (t) => {
    const { slot } = slotOver(start(t, { limits: { maxPendingEntries: 4 } }));
    assert.equal(await slot.read(messages(10), () => true), 4);
    assert.equal(slot.partition.position, 4);
  });

  test("pauses at a record whose schema isn't known, and goes on with that record when it is", async (t) => {
    const harness = start(t);
    const { slot, calls, loads } = slotOver(harness, { 2: 77 });
    assert.equal(
      await readPatiently(
        harness,
        slot.read(messages(5), () => true),
      ),
      2,
    );
    assert.deepEqual(calls, ["pause"]);
    assert.equal(slot.paused, true);
    assert.deepEqual(
      loads.map(({ id }) => id),
      [77],
    );
    loads[0]?.resolve();
    await settled();
    assert.deepEqual(calls, ["pause", "resume"]);
    assert.equal(await slot.read(messages(5).slice(2), () => true), 3);
    assert.equal(slot.partition.position, 5);
  });

  test("resumes only when neither room nor a schema is missing", async (t) => {
    const harness = start(t);
    const { slot, calls, loads } = slotOver(harness, { 0: 77 });
    await readPatiently(
      harness,
      slot.read(messages(1), () => true),
    );
    slot.setPaused("room", true);
    slot.setPaused("room", true);
    assert.deepEqual(calls, ["pause"]);
    loads[0]?.resolve();
    await settled();
    assert.equal(slot.paused, true);
    assert.deepEqual(calls, ["pause"]);
    slot.setPaused("room", false);
    slot.setPaused("room", false);
    assert.deepEqual(calls, ["pause", "resume"]);
    assert.equal(slot.paused, false);
  });

  test("stays paused when waiting for a schema ends because all ends", async (t) => {
    const harness = start(t);
    const { slot, calls, loads } = slotOver(harness, { 0: 77 });
    await readPatiently(
      harness,
      slot.read(messages(1), () => true),
    );
    loads[0]?.reject(new Error("closed"));
    await settled();
    assert.deepEqual(calls, ["pause"]);
  });

  test("waits a moment for a schema and goes on in place, so that a flood of ids is no chain of pauses", async (t) => {
    const { slot, calls, loads } = slotOver(start(t), { 1: 71, 2: 72, 4: 71 });
    const read = slot.read(messages(5), () => true);
    await settled();
    assert.equal(slot.partition.position, 1);
    loads[0]?.resolve();
    await settled();
    assert.equal(slot.partition.position, 2);
    loads[1]?.resolve();
    assert.equal(await read, 5);
    assert.deepEqual(calls, []);
    assert.deepEqual(
      loads.map(({ id }) => id),
      [71, 72],
    );
  });

  test("the schemas of later records are asked for at the same time, so many at most, and each once", async (t) => {
    const harness = start(t);
    const ids = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [at, 100 + Math.floor(at / 2)]));
    const { slot, calls, loads } = slotOver(harness, { ...ids, 7: 0 });
    t.mock.method(performance, "now", () => 0);
    const asked = (): SchemaId[] => loads.map(({ id }) => id);
    const first = await readPatiently(
      harness,
      slot.read(messages(200), () => true),
    );
    assert.equal(first, 0);
    assert.deepEqual(calls, ["pause"]);
    assert.equal(loads.length, 64);
    assert.equal(new Set(asked()).size, 64);
    assert.deepEqual(asked().slice(0, 5), [100, 101, 102, 103, 0]);
    for (const { resolve } of loads) resolve();
    await settled();
    assert.deepEqual(calls, ["pause", "resume"]);
    const rest = messages(200).slice(first);
    const second = await readPatiently(
      harness,
      slot.read(rest, () => true),
    );
    assert.equal(second, 126);
    assert.equal(new Set(asked()).size, 101);
    assert.equal(loads.length, 101);
    for (const { resolve } of loads) resolve();
    await settled();
    assert.equal(await slot.read(rest.slice(second), () => true), 200 - 126);
    assert.equal(loads.length, 101);
  });

  test("the schema of a later record that can't be loaded is asked for again when its turn comes", async (t) => {
    const harness = start(t);
    const { slot, loads } = slotOver(harness, { 0: 71, 1: 72 });
    const read = slot.read(messages(2), () => true);
    await settled();
    loads[1]?.reject(new Error("no"));
    await settled();
    loads[0]?.resolve();
    await settled();
    assert.deepEqual(
      loads.map(({ id }) => id),
      [71, 72, 72],
    );
    loads[2]?.resolve();
    assert.equal(await read, 2);
  });

  test("reads no further, and pauses nothing, if the assignment changes while it waits for a schema", async (t) => {
    const harness = start(t);
    const { slot, calls, loads } = slotOver(harness, { 1: 77 });
    let current = true;
    const read = slot.read(messages(3), () => current);
    await settled();
    current = false;
    loads[0]?.resolve();
    assert.equal(await read, 1);
    assert.equal(slot.partition.position, 1);
    assert.deepEqual(calls, []);
  });

  test("waits in place for so long only, whatever comes: other partitions are read after it", async (t) => {
    const harness = start(t);
    const ids = Object.fromEntries(Array.from({ length: 40 }, (_, offset) => [offset, 100 + offset]));
    const { slot, calls, loads } = slotOver(harness, ids);
    let clock = 0;
    t.mock.method(performance, "now", () => clock);
    let taken: number | undefined;
    const read = slot
      .read(messages(40), () => true)
      .then((count) => {
        taken = count;
      });
    while (taken === undefined) {
      await settled();
      clock += 60;
      if (clock > 500) harness.pass(1);
      else loads[slot.partition.position ?? 0]?.resolve();
      await settled();
    }
    await read;
    assert.ok(taken >= 5 && taken <= 10, `${taken} taken`);
    assert.deepEqual(calls, ["pause"]);
  });

  test("a timestamp that is no date is brought within what a date can be", async (t) => {
    const harness = start(t, { limits: { maxEntries: 1 } });
    const { slot } = slotOver(harness);
    const timestamps = ["1700000000000000000", "-1700000000000000000", "nonsense", "-1"];
    const odd = timestamps.map((timestamp, offset) => ({ ...message(offset), timestamp }));
    assert.equal(await slot.read(odd, () => true), 4);
    const kept = harness.partition.sealed.map(({ batch }) => batch.events[0]?.record.timestamp);
    assert.deepEqual(kept, [8.64e15, -8.64e15, 0, -1]);
  });

  test("waits for results to be published, but not for ever, and not for an assignment that is gone", async (t) => {
    const { promise, resolve } = deferred();
    let isPressed = true;
    const harness = start(t);
    const { slot } = slotOver(harness, {}, undefined, () => (isPressed ? promise : undefined));
    const relieved = slot.read(messages(4), () => true);
    const gone = slot.read([message(4)], () => false);
    await settled();
    assert.equal(slot.partition.position, 0);
    resolve();
    assert.equal(await relieved, 4);
    assert.equal(await gone, 0);

    isPressed = false;
    assert.equal(await slot.read([message(4)], () => true), 1);
  });

  test("lets others have their turn in a long read, and stops there if the assignment has changed meanwhile", async (t) => {
    const busy = (): void => {
      const until = performance.now() + 0.5;
      while (performance.now() < until);
    };
    const { slot } = slotOver(start(t), {}, busy);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    let looks = 0;
    const taken = await slot.read(messages(200), () => ++looks < 3);
    clearInterval(timer);
    assert.equal(looks, 3);
    assert.ok(taken >= 3 * 32 && taken < 200 && taken % 32 === 0, `${taken} taken`);
    assert.equal(slot.partition.position, taken);
  });
});

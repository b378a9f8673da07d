import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { IHeaders, KafkaMessage } from "kafkajs";
import type { SourceRecord } from "../../src/batching/batch.ts";
import type { Decoder } from "../../src/events/decode.ts";
import { createSlot } from "../../src/relay/slot.ts";
import { optOut, settled, start } from "./relay-partition-fixture.ts";

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
  harness: ReturnType<typeof start>,
  needs: Record<number, number> = {},
  onDecode = () => {},
) {
  const calls: string[] = [];
  const loaded = new Set<number>();
  const loads: { id: number; resolve(): void; reject(error: Error): void }[] = [];
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
  });
  return { slot, calls, loads };
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
    const { slot, calls, loads } = slotOver(start(t), { 2: 77 });
    assert.equal(await slot.read(messages(5), () => true), 2);
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
    const { slot, calls, loads } = slotOver(start(t), { 0: 77 });
    await slot.read(messages(1), () => true);
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
    const { slot, calls, loads } = slotOver(start(t), { 0: 77 });
    await slot.read(messages(1), () => true);
    loads[0]?.reject(new Error("closed"));
    await settled();
    assert.deepEqual(calls, ["pause"]);
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

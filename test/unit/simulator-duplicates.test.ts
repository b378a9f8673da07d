import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  adminTokenOf,
  dncl,
  NAME,
  phoneOf,
  postEntries,
  postRecords,
  startSimulator,
  tokenOf,
} from "./simulator-client.ts";

const PHONE = phoneOf(123);
const EARLY = "2031-01-01T00:00:00Z";
const LATE = "2032-01-01T01:00:00+02:00";

const expiring = (expirationDate: string): object => ({
  phone: PHONE,
  type: "dncl_expiration",
  source: "ivr",
  expirationDate,
});

describe("simulator: a phone that is on the list already", () => {
  test("keeps the strongest entry: permanent, then the later expiry", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    const kept = [];
    const entries = [expiring(EARLY), expiring(LATE), expiring(EARLY), dncl(PHONE), expiring(LATE)];
    for (const [index, entry] of entries.entries()) {
      await postEntries(simulator, { token, body: JSON.stringify([entry]), key: `batch-${index}` });
      const [present] = simulator.entries(NAME);
      kept.push([present?.type, present?.expirationDate, present?.key, present?.count]);
    }
    assert.deepEqual(kept, [
      ["dncl_expiration", EARLY, "batch-0", 1],
      ["dncl_expiration", LATE, "batch-1", 2],
      ["dncl_expiration", LATE, "batch-1", 3],
      ["dncl", null, "batch-3", 4],
      ["dncl", null, "batch-3", 5],
    ]);
  });

  test("with the fault duplicates: last, gets every entry that comes, but none again for a repeated key", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.setFaults(NAME, { duplicates: "last" });
    const listed = async (entry: object, key: string) => {
      await postEntries(simulator, { token, body: JSON.stringify([entry]), key });
      const [present] = simulator.entries(NAME);
      return [present?.type, present?.source, present?.expirationDate, present?.key];
    };
    assert.deepEqual(await listed(dncl(PHONE), "1"), ["dncl", "web", null, "1"]);
    assert.deepEqual(await listed(expiring(LATE), "2"), ["dncl_expiration", "ivr", LATE, "2"]);
    assert.deepEqual(await listed(expiring(EARLY), "3"), ["dncl_expiration", "ivr", EARLY, "3"]);
    assert.deepEqual(await listed(dncl(PHONE), "1"), ["dncl_expiration", "ivr", EARLY, "3"]);
  });

  test("does the same by admin-dnc-groups", async (t) => {
    const simulator = await startSimulator(t);
    const token = await adminTokenOf(simulator);
    const listed = async (record: object) => {
      const body = JSON.stringify({ dncGroupRecords: [{ phoneNumber: 12_125_550_123, ...record }] });
      await postRecords(simulator, { token, body });
      return simulator.entries(NAME)[0]?.expirationDate;
    };
    assert.equal(await listed({}), null);
    assert.equal(await listed({ expiredDate: EARLY }), null);
    simulator.setFaults(NAME, { duplicates: "last" });
    assert.equal(await listed({ expiredDate: EARLY }), EARLY);
  });
});

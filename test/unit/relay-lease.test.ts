import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLease } from "../../src/relay/lease.ts";

const SESSION = 10_000;

function leaseAt(start: number) {
  let now = start;
  const lease = createLease(SESSION, () => now);
  return {
    lease,
    pass(milliseconds: number) {
      now += milliseconds;
    },
  };
}

describe("the lease on partitions", () => {
  test("isn't held before an assignment is granted, however alive the member is", () => {
    const { lease } = leaseAt(5);
    lease.renew(0);
    assert.equal(lease.isHeld, false);
    lease.grant();
    assert.equal(lease.isHeld, true);
  });

  test("ends before the session does, unless the coordinator was heard of", () => {
    const { lease, pass } = leaseAt(1_000);
    lease.grant();
    pass(7_999);
    assert.equal(lease.isHeld, true);
    lease.renew(0);
    pass(7_999);
    assert.equal(lease.isHeld, true);
    pass(1);
    assert.equal(lease.isHeld, false, "a fifth of the session is left");
  });

  test("isn't held by a process that slept through its session, until it hears from the coordinator", () => {
    const { lease, pass } = leaseAt(0);
    lease.grant();
    pass(3_600_000);
    assert.equal(lease.isHeld, false);
    assert.equal(lease.lapsedFor(), 3_600_000 - 8_000);
    lease.renew(0);
    assert.equal(lease.isHeld, true);
    assert.equal(lease.lapsedFor(), 0);
  });

  test("counts from when the coordinator was asked, not from when its answer was read", () => {
    const { lease, pass } = leaseAt(0);
    lease.grant();
    pass(60_000);
    lease.renew(30_000);
    assert.equal(lease.isHeld, false, "the answer waited here while the process was stopped");
    lease.renew(20);
    assert.equal(lease.isHeld, true);
    lease.renew(7_000);
    pass(7_979);
    assert.equal(lease.isHeld, true, "an older answer takes nothing away");
  });

  test("ends at once when the assignment is void, and a heartbeat doesn't bring it back", () => {
    const { lease, pass } = leaseAt(0);
    lease.grant();
    lease.revoke();
    lease.renew(0);
    assert.equal(lease.isHeld, false);
    pass(4_000);
    assert.equal(lease.lapsedFor(), 4_000);
    lease.revoke();
    pass(1_000);
    assert.equal(lease.lapsedFor(), 5_000, "counted from the first of several");
    lease.grant();
    assert.equal(lease.lapsedFor(), 0);
  });

  test("counts a group that never took the member in as lapsed from the start", () => {
    const { lease, pass } = leaseAt(700);
    pass(60_000);
    assert.equal(lease.lapsedFor(), 60_000);
  });
});

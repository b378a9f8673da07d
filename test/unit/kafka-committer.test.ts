import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { OptoutError } from "../../src/errors.ts";
import { type CommitSnapshot, createCommitter } from "../../src/kafka/committer.ts";
import { silentLogger } from "../../src/observability/logger.ts";

/** A broker's refusal as kafkajs wraps it. */
const refusal = (type: string): Error =>
  Object.assign(new Error(type), { cause: Object.assign(new Error(type), { type }) });

function fixture(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const dirty = new Set<number>();
  const commits: { partitions: number[]; resolve(): void; reject(error: Error): void }[] = [];
  const events: string[] = [];
  const fatal: OptoutError[] = [];
  const state = { epoch: {}, limit: 10, asksAgain: false };
  const committer = createCommitter({
    collect() {
      const taken = [...dirty].slice(0, state.limit);
      for (const partition of taken) dirty.delete(partition);
      const snapshots = taken.map(
        (partition): CommitSnapshot => ({
          partition,
          offset: 5,
          metadata: "",
          onCommitted: () => events.push(`committed ${partition}`),
          onFailed: () => {
            events.push(`failed ${partition}`);
            dirty.add(partition);
            if (state.asksAgain) committer.request(false);
          },
        }),
      );
      return { snapshots, isPartial: dirty.size > 0 };
    },
    epoch: () => state.epoch,
    commit: (offsets) =>
      new Promise((resolve, reject) => {
        commits.push({ partitions: offsets.map(({ partition }) => partition), resolve, reject });
      }),
    onOutcome: (outcome) => events.push(outcome),
    onFenced: () => events.push("suspended"),
    onFatal: (error) => fatal.push(error),
    logger: silentLogger(),
  });
  return { committer, dirty, commits, events, fatal, state };
}

describe("committer", () => {
  test("has one commit in flight; what is asked for meanwhile goes into the next, together", async (t) => {
    const { committer, dirty, commits } = fixture(t);
    dirty.add(0);
    committer.request(true);
    dirty.add(1).add(2);
    committer.request(true);
    committer.request(false);
    assert.deepEqual(
      commits.map(({ partitions }) => partitions),
      [[0]],
    );
    commits[0]?.resolve();
    await nextTurn();
    assert.deepEqual(commits[1]?.partitions, [1, 2]);
  });

  test("an acknowledgement waits for company even behind a commit in flight, so that the next seal needn't", async (t) => {
    const { committer, dirty, commits } = fixture(t);
    dirty.add(0);
    committer.request(true);
    dirty.add(1);
    committer.request(false);
    commits[0]?.resolve();
    await nextTurn();
    assert.equal(commits.length, 1, "nothing is in the next seal's way");
    dirty.add(2);
    committer.request(true);
    assert.deepEqual(commits[1]?.partitions, [1, 2]);
    commits[1]?.resolve();
    await nextTurn();
    dirty.add(1);
    t.mock.timers.tick(25);
    assert.equal(commits.length, 2, "the seal took it along");
    committer.request(false);
    t.mock.timers.tick(25);
    assert.deepEqual(commits[2]?.partitions, [1], "without company it goes alone");
  });

  test("an acknowledgement whose time is up during a commit goes right after it", async (t) => {
    const { committer, dirty, commits } = fixture(t);
    dirty.add(0);
    committer.request(true);
    dirty.add(1);
    committer.request(false);
    t.mock.timers.tick(25);
    assert.equal(commits.length, 1);
    commits[0]?.resolve();
    await nextTurn();
    assert.deepEqual(commits[1]?.partitions, [1]);
  });

  test("partitions that ask again as their commit fails don't shorten the pause", async (t) => {
    const { committer, dirty, commits, state } = fixture(t);
    state.asksAgain = true;
    dirty.add(0);
    committer.request(true);
    commits[0]?.reject(refusal("REQUEST_TIMED_OUT"));
    await nextTurn();
    t.mock.timers.tick(499);
    assert.equal(commits.length, 1);
    t.mock.timers.tick(1);
    assert.deepEqual(commits[1]?.partitions, [0]);
  });

  test("cuts what is too much for one request, and goes on with the rest", async (t) => {
    const { committer, dirty, commits, state } = fixture(t);
    state.limit = 2;
    dirty.add(0).add(1).add(2);
    committer.request(true);
    commits[0]?.resolve();
    await nextTurn();
    assert.deepEqual(
      commits.map(({ partitions }) => partitions),
      [[0, 1], [2]],
    );
  });

  test("a commit that the broker may not have is made again, after a pause", async (t) => {
    const { committer, dirty, commits, events } = fixture(t);
    dirty.add(0);
    committer.request(true);
    commits[0]?.reject(refusal("REQUEST_TIMED_OUT"));
    await nextTurn();
    assert.deepEqual(events, ["failed 0", "failed"]);
    committer.request(true);
    assert.equal(commits.length, 1, "no storm");
    t.mock.timers.tick(500);
    assert.deepEqual(commits[1]?.partitions, [0]);
    commits[1]?.resolve();
    await nextTurn();
    assert.deepEqual(events.slice(2), ["ok", "committed 0"]);
  });

  for (const type of ["ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS"]) {
    test(`${type} voids the assignment that the commit was of`, async (t) => {
      const { committer, dirty, commits, events } = fixture(t);
      dirty.add(0);
      committer.request(true);
      commits[0]?.reject(refusal(type));
      await nextTurn();
      assert.deepEqual(events.slice(0, 3), ["failed 0", "fenced", "suspended"]);
    });
  }

  test("a late refusal of a commit of the assignment before doesn't void the next", async (t) => {
    const { committer, dirty, commits, events, state } = fixture(t);
    dirty.add(0);
    committer.request(true);
    state.epoch = {};
    commits[0]?.reject(refusal("ILLEGAL_GENERATION"));
    await nextTurn();
    assert.ok(events.includes("fenced"));
    assert.ok(!events.includes("suspended"));
  });

  test("what asked while a retry was under way, that was of the assignment before, is committed all the same", async (t) => {
    const { committer, dirty, commits, state } = fixture(t);
    dirty.add(0);
    committer.request(true);
    commits[0]?.reject(new Error("connection lost"));
    await nextTurn();
    t.mock.timers.tick(500);
    assert.equal(commits.length, 2);
    state.epoch = {};
    dirty.add(1);
    committer.request(true);
    // It comes while the retry is in flight, and leaves it at that.
    t.mock.timers.tick(500);
    commits[1]?.reject(refusal("ILLEGAL_GENERATION"));
    await nextTurn();
    t.mock.timers.tick(500);
    assert.equal(commits.length, 3);
  });

  test("a ledger that the broker never takes ends the process with a remedy", async (t) => {
    const { committer, dirty, commits, fatal } = fixture(t);
    dirty.add(0);
    committer.request(true);
    commits[0]?.reject(refusal("OFFSET_METADATA_TOO_LARGE"));
    await nextTurn();
    assert.equal(fatal[0]?.code, "ledger_capacity");
    assert.match(fatal[0]?.message ?? "", /offset\.metadata\.max\.bytes/);
  });

  test("a commit that is never answered ends the process: nothing could be sealed any more", (t) => {
    const { committer, dirty, fatal } = fixture(t);
    dirty.add(0);
    committer.request(true);
    t.mock.timers.tick(59_999);
    assert.equal(fatal.length, 0);
    t.mock.timers.tick(1);
    assert.equal(fatal[0]?.code, "kafka_unreachable");
  });
});

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Setting } from "../model/relay-process.ts";
import { installVirtualTime } from "../model/virtual-time.ts";
import { createWorld, type Process, type World } from "../model/world.ts";

const SETTING: Setting = {
  environments: ["production"],
  region: "US",
  maxEntries: 2,
  maxWait: 10,
  maxBytes: 400,
  maxPendingEntries: 40,
};
const STEP_MS = 0.5;
const MAX_TURNS = 2_000;

/** What happens, in turns, until it is so; but for what is held back. */
async function until(world: World, isSo: () => boolean, held?: RegExp): Promise<void> {
  for (let turn = 0; !isSo(); turn++) {
    assert.ok(turn < MAX_TURNS, "it doesn't come to this");
    const all = world.happenings().filter(({ what }) => !held?.test(what));
    const next = all[turn % all.length];
    if (next === undefined) world.moveTo(world.nextDue());
    else {
      await world.run(next);
      world.moveTo(world.now + STEP_MS);
    }
  }
}

const isWaiting = (world: World, what: string): boolean =>
  world.happenings().some((happening) => happening.what.endsWith(what));

function write(world: World): void {
  for (const digit of [1, 2, 3]) {
    world.kafka.logs[0]?.append({ kind: "phone", phone: `+1201555010${digit}`, until: null }, 0);
  }
  world.kafka.changed();
}

describe("a member of the group, of a client with quirks", () => {
  let uninstall = () => {};
  before(() => {
    uninstall = installVirtualTime();
  });
  after(() => uninstall());

  async function start() {
    const trace: string[] = [];
    const world = createWorld({
      ...{ partitions: 1, firstOffset: 0, seed: 1 },
      trace: (line) => void trace.push(line),
    });
    await world.start(SETTING);
    const [process] = world.processes() as [Process];
    const phase = () => process.relay?.member.assignment.phase;
    write(world);
    await until(world, () => world.kafka.commits.get(0)?.offset === 3);
    const end = () => {
      world.crash(process, 0);
      assert.deepEqual(world.judge.violations, []);
    };
    return { world, process, phase, trace, end };
  }

  test("gives up its partitions before the client, which crashes, asks to leave the group", async () => {
    const { world, process, phase, end } = await start();
    assert.equal(phase(), "active");
    process.faults.fetches.push("TOPIC_AUTHORIZATION_FAILED");
    await until(world, () => isWaiting(world, "leaves arrives"), /leaves arrives/);
    assert.equal(phase(), "suspended");
    end();
  });

  test("gets its partitions again when the connection breaks after JoinGroup and before SyncGroup is answered", async () => {
    const { world, process, phase, end } = await start();
    world.kafka.group.rebalance();
    await until(world, () => isWaiting(world, "syncs arrives"), /syncs arrives/);
    assert.equal(phase(), "suspended");
    await world.cut(process, 0);
    await until(world, () => phase() === "active");
    write(world);
    await until(world, () => world.kafka.commits.get(0)?.offset === 6);
    end();
  });

  test("fetches nothing between a refused commit and the rejoin", async () => {
    const { world, phase, trace, end } = await start();
    const [member] = world.kafka.group.owners();
    world.kafka.group.leave(member?.memberId ?? "");
    write(world);
    await until(world, () => phase() === "suspended");
    const before = trace.length;
    await until(world, () => isWaiting(world, "joins arrives"));
    const fetches = trace
      .slice(before)
      .filter((line) => line.endsWith("arrives") && line.includes("fetches"));
    assert.ok(fetches.length <= 1, `${fetches.length} times`);
    await until(world, () => world.kafka.commits.get(0)?.offset === 6);
    end();
  });
});

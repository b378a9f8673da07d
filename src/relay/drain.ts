import { setTimeout as sleep } from "node:timers/promises";
import type { Lane } from "../delivery/lane.ts";
import type { Member } from "./member.ts";
import type { ResultPublisher } from "./result-publisher.ts";

/** For requests in flight at shutdown, and the commit after them, in milliseconds. */
export const DRAIN_MS = 10_000;
const MIN_COMMIT_MS = 1_000;
const LOOK_MS = 20;

export interface DrainOptions {
  member: Member;
  lanes: readonly Lane[];
  results: ResultPublisher;
  /** Milliseconds, monotonic. */
  now(): number;
}

/** Seals and sends nothing more, waits for the answers to what is in flight, and commits what came of it. */
export async function drain({ member, lanes, results, now }: DrainOptions): Promise<void> {
  const deadline = now() + DRAIN_MS;
  for (const { partition } of member.assignment.slots.values()) {
    member.consumer.pause(partition.number);
    partition.stopSealing();
  }
  await within(Promise.all(lanes.map((lane) => lane.drain())), deadline - now());
  while (results.isPublishing && now() < deadline) await sleep(LOOK_MS);
  await within(member.committer.flush(), Math.max(MIN_COMMIT_MS, deadline - now()));
}

/** Waits no longer than `milliseconds`, and for no error. */
export async function within(work: Promise<unknown>, milliseconds: number): Promise<void> {
  const controller = new AbortController();
  await Promise.race([
    work.catch(() => {}),
    sleep(Math.max(0, milliseconds), undefined, { signal: controller.signal }).catch(() => {}),
  ]);
  controller.abort();
}

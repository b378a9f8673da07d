/** How long nobody gets what a member of the group owned that is killed (-9), while the other lives. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "../test/support/wait.ts";
import type { Contender } from "./contenders/contender.ts";
import { contenders } from "./contenders/index.ts";
import { type Bench, SESSION_TIMEOUT_MS, signalOfRun, taskOf, withOutputs } from "./measure.ts";
import { median } from "./repeat.ts";
import { say } from "./report.ts";
import { chosenOf, type Scale } from "./throughput.ts";
import { createEventProducer, fillTopic, sendSteadily } from "./workload.ts";

const PARTITIONS = 6;
const PER_SECOND = 100;
const BATCH = 50;
/** Until both work, and after the kill. */
const BEFORE_SECONDS = 5;
const AFTER_SECONDS = SESSION_TIMEOUT_MS / 1_000 + 4;

/** Seconds after the kill, by contender. */
export interface Recovery {
  sessionTimeoutSeconds: number;
  figures: Record<string, number>;
}

export async function measureRecovery(bench: Bench, scale: Scale): Promise<Recovery> {
  say(`recovery: one of two killed, session timeout ${SESSION_TIMEOUT_MS / 1_000} s`);
  const figures: Recovery["figures"] = {};
  for (const contender of chosenOf(contenders, scale)) {
    const runs: number[] = [];
    for (let run = 0; run < scale.repetitions; run++) runs.push(await recoveryOf(bench, contender));
    figures[contender.name] = median(runs);
    say(`  ${contender.title}: ${runs.map((seconds) => `${seconds.toFixed(2)} s`).join(", ")}`);
  }
  return { sessionTimeoutSeconds: SESSION_TIMEOUT_MS / 1_000, figures };
}

async function recoveryOf(bench: Bench, contender: Contender): Promise<number> {
  const events = PER_SECOND * (BEFORE_SECONDS + AFTER_SECONDS);
  const topic = `bench-${randomUUID().slice(0, 8)}`;
  await fillTopic(bench.kafka, topic, 0, PARTITIONS);
  const task = taskOf(bench, { topic, events, partitions: PARTITIONS, batch: BATCH, processes: 2 });
  await bench.sink.begin({ events, environments: task.environments.length, latencyMs: 0 });
  const seconds = await withOutputs(bench, contender, task, PARTITIONS, async () => {
    const done = bench.sink.done(signalOfRun(bench));
    const [one, other] = [`${task.clientId}-survivor`, `${task.clientId}-victim`];
    await using survivor = await contender.start({ ...task, clientId: one });
    await using victim = await contender.start({ ...task, clientId: other });
    await waitFor("both to be in the group", () => sharedBy(bench, task.groupId, [one, other]));
    await using producer = await createEventProducer(bench.kafka, topic, PARTITIONS);
    const sent = sendSteadily(producer, events, PER_SECOND);
    await sleep(BEFORE_SECONDS * 1_000);
    const killedAt = Date.now();
    victim.kill("SIGKILL");
    const sentAt = await sent;
    await Promise.race([done, survivor.ended]);
    return (firstAfter(killedAt, sentAt, await bench.sink.times()) - killedAt) / 1_000;
  });
  await bench.admin.deleteTopics({ topics: [topic] });
  return seconds;
}

/** True once the group is stable with all of them; one may have several members in it, named after it. */
async function sharedBy({ admin }: Bench, groupId: string, clientIds: readonly string[]): Promise<boolean> {
  const { groups } = await admin.describeGroups([groupId]);
  const members = groups[0]?.state === "Stable" ? groups[0].members : [];
  return clientIds.every((clientId) => members.some((member) => member.clientId.startsWith(clientId)));
}

/** When the last partition delivered again: for each, the first answer to an event that was sent after the kill. */
function firstAfter(killedAt: number, sentAt: readonly number[], completedAt: Float64Array): number {
  const first = Array.from({ length: PARTITIONS }, () => Number.POSITIVE_INFINITY);
  for (const [index, at] of sentAt.entries()) {
    if (at < killedAt) continue;
    const partition = index % PARTITIONS;
    first[partition] = Math.min(first[partition] ?? 0, completedAt[index] ?? 0);
  }
  return Math.max(...first);
}

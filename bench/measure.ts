/** One run of one contender: from its first partitions to the last answer of the last environment. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Admin, Kafka } from "kafkajs";
import { createTopics, endOffsets } from "../test/support/kafka.ts";
import type { Contender, Task } from "./contenders/contender.ts";
import { type BenchProcess, cpuSecondsOf, peakMemoryOf } from "./process.ts";
import type { Sink } from "./sink/sink.ts";

/** What all runs share. */
export interface Bench {
  brokers: string[];
  kafka: Kafka;
  admin: Admin;
  sink: Sink;
  signal: AbortSignal;
}

export interface RunOptions {
  topic: string;
  events: number;
  partitions: number;
  batch: number;
  environments?: number;
  /** Of every environment's answers. */
  latencyMs?: number;
  /** That share the partitions. */
  processes?: number;
}

/** What came of a run. */
export interface Figures {
  eventsPerSecond: number;
  /** Of the contender alone, from its first partitions until all is committed and published. */
  cpuSecondsPerMillion: number;
  peakMiB: number;
  /** From the process's start to its first partitions. */
  startSeconds: number;
  /** From the last answer until all is committed, and all statuses are published. */
  settledSeconds: number;
}

const ENVIRONMENTS = 3;
const MAX_WAIT_MS = 250;
export const SESSION_TIMEOUT_MS = 10_000;
/** More don't make anything faster on a machine whose cores are shared with Kafka and the environments. */
const MOST_CONSUMERS = 6;
const RUN_WITHIN_MS = 10 * 60_000;
const SETTLED_WITHIN_MS = 2 * 60_000;
const POLL_MS = 50;

export function taskOf(
  bench: Bench,
  { topic, events, partitions, batch, environments = ENVIRONMENTS, processes = 1 }: RunOptions,
): Task {
  const id = randomUUID().slice(0, 8);
  return {
    ...{ brokers: bench.brokers, topic, events, batch },
    ...{ groupId: `bench-${id}`, clientId: `bench-${id}` },
    ...{ sessionTimeoutMs: SESSION_TIMEOUT_MS, maxWaitMs: MAX_WAIT_MS },
    consumers: Math.ceil(Math.min(partitions, MOST_CONSUMERS) / processes),
    environments: Array.from({ length: environments }, (_, index) => bench.sink.baseUrl(index)),
  };
}

/** Makes the contender's own topics for the time of `work`. */
export async function withOutputs<T>(
  { admin }: Bench,
  contender: Contender,
  task: Task,
  partitions: number,
  work: () => Promise<T>,
): Promise<T> {
  const topics = contender.outputs?.(task) ?? [];
  if (topics.length === 0) return work();
  await createTopics(
    admin,
    topics.map((topic) => ({ topic, numPartitions: partitions, replicationFactor: 1 })),
  );
  try {
    return await work();
  } finally {
    await admin.deleteTopics({ topics });
  }
}

/** When the process is first given partitions; fails if it ends before. */
export function assigned(contender: Contender, child: BenchProcess): Promise<number> {
  const given = new Promise<number>((resolve) => {
    child.onLine((line) => {
      const at = contender.assignedAt(line);
      if (at !== undefined) resolve(at);
    });
  });
  return Promise.race([given, child.ended]);
}

/** Ends a run that can't end by itself, since an event is lost. */
export const signalOfRun = ({ signal }: Bench): AbortSignal =>
  AbortSignal.any([signal, AbortSignal.timeout(RUN_WITHIN_MS)]);

const said = (child: BenchProcess): Promise<number> =>
  new Promise((resolve) => {
    child.onLine(({ done }) => {
      if (typeof done === "number") resolve(done);
    });
  });

export async function measure(bench: Bench, contender: Contender, options: RunOptions): Promise<Figures> {
  const { events, partitions, latencyMs = 0 } = options;
  const task = taskOf(bench, options);
  const { length: environments } = task.environments;
  await bench.sink.begin({ events, environments, latencyMs });
  return withOutputs(bench, contender, task, partitions, async () => {
    const signal = signalOfRun(bench);
    const done = contender.says ? undefined : bench.sink.done(signal).then(({ doneAt }) => doneAt);
    // As there: if the contender fails first, nobody waits for this.
    done?.catch(() => {});
    await using child = await contender.start(task);
    const assignedAt = await assigned(contender, child);
    const cpuBefore = await cpuSecondsOf(child.pid);
    const doneAt = await Promise.race([done ?? said(child), child.ended]);
    if (!contender.isBound) await settled(bench, contender, task, signal);
    const settledAt = Date.now();
    const cpuSeconds = (await cpuSecondsOf(child.pid)) - cpuBefore;
    return {
      eventsPerSecond: (events * 1_000) / (doneAt - assignedAt),
      cpuSecondsPerMillion: (cpuSeconds * 1_000_000) / events,
      peakMiB: await peakMemoryOf(child.pid),
      startSeconds: (assignedAt - child.startedAt) / 1_000,
      settledSeconds: Math.max(0, settledAt - doneAt) / 1_000,
    };
  });
}

/** Resolves when every offset is committed, and the contender's first own topic has a record for every event. */
async function settled(bench: Bench, contender: Contender, task: Task, signal: AbortSignal): Promise<void> {
  const { admin } = bench;
  const ends = await endOffsets(admin, task.topic);
  const [statuses] = contender.outputs?.(task) ?? [];
  const isSettled = async (): Promise<boolean> => {
    const [topic] = await admin.fetchOffsets({ groupId: task.groupId, topics: [task.topic] });
    const behind = topic?.partitions.filter(
      ({ partition, offset }) => Number(offset) < (ends.get(partition) ?? 0),
    );
    if (behind?.length !== 0) return false;
    if (statuses === undefined) return true;
    const published = [...(await endOffsets(admin, statuses)).values()].reduce((sum, end) => sum + end, 0);
    return published >= task.events;
  };
  const deadline = Date.now() + SETTLED_WITHIN_MS;
  while (!(await isSettled())) {
    signal.throwIfAborted();
    if (Date.now() > deadline)
      throw new Error(`${contender.title} delivered everything, but doesn't commit it`);
    await sleep(POLL_MS);
  }
}

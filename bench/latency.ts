/** How much later than the environments could have it each opt-out is there, at 100 events a second. */
import { randomUUID } from "node:crypto";
import { contenders } from "./contenders/index.ts";
import { assigned, type Bench, signalOfRun, taskOf, withOutputs } from "./measure.ts";
import { median, quantile } from "./repeat.ts";
import { say } from "./report.ts";
import { chosenOf, type Scale } from "./throughput.ts";
import { createEventProducer, fillTopic, sendSteadily } from "./workload.ts";

const PARTITIONS = 6;
const PER_SECOND = 100;
const SECONDS = 15;
/** The first ones meet cold code, which isn't what a service that runs for months is like. */
const WARM_UP_SECONDS = 5;
const BATCH = 50;
const WAITS_MS = [1, 250];

export interface Latency {
  maxWaitMs: number;
  /** By contender, in milliseconds from the send to Kafka to the last environment's answer. */
  figures: Record<string, { p50: number; p99: number; max: number }>;
}

export async function measureLatency(bench: Bench, scale: Scale): Promise<Latency[]> {
  const latencies: Latency[] = [];
  for (const maxWaitMs of WAITS_MS) {
    say(`latency: ${PER_SECOND} events/s, maxWait ${maxWaitMs} ms`);
    // Others don't wait for a batch to fill, so they are measured once.
    const chosen = chosenOf(contenders, scale).filter(({ waits }) => waits || maxWaitMs === WAITS_MS[0]);
    const figures: Latency["figures"] = {};
    for (const contender of chosen) {
      const runs: number[][] = [];
      for (let run = 0; run < scale.repetitions; run++)
        runs.push(await latenciesOf(bench, contender, maxWaitMs));
      const of = (share: number): number => median(runs.map((values) => quantile(values, share)));
      figures[contender.name] = { p50: of(0.5), p99: of(0.99), max: of(1) };
      say(`  ${contender.title}: p50 ${of(0.5)} ms, p99 ${of(0.99)} ms`);
    }
    latencies.push({ maxWaitMs, figures });
  }
  return latencies;
}

async function latenciesOf(
  bench: Bench,
  contender: (typeof contenders)[number],
  maxWaitMs: number,
): Promise<number[]> {
  const events = PER_SECOND * (WARM_UP_SECONDS + SECONDS);
  const topic = `bench-${randomUUID().slice(0, 8)}`;
  await fillTopic(bench.kafka, topic, 0, PARTITIONS);
  const task = { ...taskOf(bench, { topic, events, partitions: PARTITIONS, batch: BATCH }), maxWaitMs };
  await bench.sink.begin({ events, environments: task.environments.length, latencyMs: 0 });
  const latencies = await withOutputs(bench, contender, task, PARTITIONS, async () => {
    const done = bench.sink.done(signalOfRun(bench));
    await using child = await contender.start(task);
    await assigned(contender, child);
    await using producer = await createEventProducer(bench.kafka, topic, PARTITIONS);
    const sentAt = await sendSteadily(producer, events, PER_SECOND);
    await Promise.race([done, child.ended]);
    const completedAt = await bench.sink.times();
    return sentAt.map((at, index) => (completedAt[index] ?? 0) - at).slice(PER_SECOND * WARM_UP_SECONDS);
  });
  await bench.admin.deleteTopics({ topics: [topic] });
  return latencies;
}

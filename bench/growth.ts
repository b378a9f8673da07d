/** Whether throughput stays as partitions, environments, batches and the backlog grow: one of them at a time. */
import { randomUUID } from "node:crypto";
import { contenders } from "./contenders/index.ts";
import type { Bench } from "./measure.ts";
import { type Repeated, repeat } from "./repeat.ts";
import { say } from "./report.ts";
import { chosenOf, type Scale } from "./throughput.ts";
import { fillTopic, wholeBatches } from "./workload.ts";

interface Point {
  partitions: number;
  environments: number;
  batch: number;
  events: number;
}

/** A point is measured once and may be in several series. */
const USUAL: Point = { partitions: 6, environments: 3, batch: 500, events: 200_000 };
const OTHERS: readonly Partial<Point>[] = [
  { partitions: 1 },
  { partitions: 24 },
  { environments: 1 },
  { environments: 10, events: 100_000 },
  { batch: 50, events: 100_000 },
  { batch: 1_000 },
];
const BACKLOGS = [10_000, 100_000, 1_000_000, 2_000_000];

export interface Growth extends Point {
  figures: Record<string, Repeated>;
}

/** The relay, and the one that comes nearest: with all of them it would take an hour. */
const COMPARED = ["relay", "parallel-consumer"];

export async function measureGrowth(bench: Bench, scale: Scale): Promise<Growth[]> {
  const points: Growth[] = [];
  const compared = chosenOf(contenders, scale).filter(({ name }) => COMPARED.includes(name));
  const add = async (point: Point, chosen = compared): Promise<void> => {
    const { partitions, batch, environments } = point;
    const events = wholeBatches(point.events * scale.scale, partitions, batch);
    const topic = `bench-${randomUUID().slice(0, 8)}`;
    say(
      `growth: ${events} events, ${partitions} partitions, ${environments} environments, batches of ${batch}`,
    );
    await fillTopic(bench.kafka, topic, events, partitions);
    const figures = await repeat(bench, chosen, { ...point, topic, events }, scale.repetitions);
    points.push({ ...point, events, figures });
    await bench.admin.deleteTopics({ topics: [topic] });
  };
  await add(USUAL);
  for (const other of OTHERS) await add({ ...USUAL, ...other });
  // The backlog is a question of memory and of what is kept for each event: the relay's own.
  const relay = compared.filter(({ name }) => name === "relay");
  if (relay.length > 0) for (const events of BACKLOGS) await add({ ...USUAL, events }, relay);
  return points;
}

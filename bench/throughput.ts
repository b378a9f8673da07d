/** Contenders and bounds side by side on one backlog, at batches of 50 and 500, and with environments that take 100 ms. */
import { randomUUID } from "node:crypto";
import { bounds, contenders } from "./contenders/index.ts";
import type { Bench } from "./measure.ts";
import { type Repeated, repeat } from "./repeat.ts";
import { say } from "./report.ts";
import { fillTopic, wholeBatches } from "./workload.ts";

export interface Scale {
  /** Of the events of a full run. */
  scale: number;
  repetitions: number;
  /** Names of contenders; empty: all. */
  only: readonly string[];
}

/** The figures of one setting, by contender. */
export interface Setting {
  events: number;
  batch: number;
  latencyMs: number;
  figures: Record<string, Repeated>;
}

const PARTITIONS = 6;
const SETTINGS = [
  { events: 600_000, batch: 500, latencyMs: 0 },
  { events: 200_000, batch: 50, latencyMs: 0 },
  { events: 30_000, batch: 500, latencyMs: 100 },
];

export const chosenOf = <T extends { name: string }>(all: readonly T[], { only }: Scale): T[] =>
  all.filter(({ name }) => only.length === 0 || only.includes(name));

export async function measureThroughput(bench: Bench, scale: Scale): Promise<Setting[]> {
  const settings: Setting[] = [];
  for (const { events: full, batch, latencyMs } of SETTINGS) {
    const events = wholeBatches(full * scale.scale, PARTITIONS, batch);
    const topic = `bench-${randomUUID().slice(0, 8)}`;
    say(`throughput: ${events} events, batches of ${batch}, environments that take ${latencyMs} ms`);
    await fillTopic(bench.kafka, topic, events, PARTITIONS);
    const chosen = chosenOf(latencyMs === 0 ? [...contenders, ...bounds] : contenders, scale);
    const options = { topic, events, batch, latencyMs, partitions: PARTITIONS };
    const figures = await repeat(bench, chosen, options, scale.repetitions);
    settings.push({ events, batch, latencyMs, figures });
    await bench.admin.deleteTopics({ topics: [topic] });
  }
  return settings;
}

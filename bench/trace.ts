/** How long the trace of one number takes among a million outcomes: where its records go, and in all partitions. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Message } from "kafkajs";
import type { Trace } from "../src/inspect/trace.ts";
import { finished, runCli } from "../test/support/process.ts";
import { createScenario, phoneOf, type Scenario } from "../test/support/scenario.ts";
import { type Measurement, say } from "./report.ts";

const RECORDS = 1_000_000;
const CHUNK = 5_000;
const MAX_SECONDS = 10;

function statusOf(index: number, { config, environments }: Scenario): Message {
  const { events } = config.topics;
  const [partition, offset] = [index % 6, Math.floor(index / 6)];
  const time = new Date(Date.UTC(2026, 0, 1) + index * 100).toISOString();
  const results = environments.map((name) => ({
    ...{ name, outcome: "accepted", attempts: 1, httpStatus: 201 },
    ...{ requestId: `req-${name}-${index}`, acknowledgedAt: time },
  }));
  const status = {
    ...{ statusId: `${events}:${partition}:${offset}`, outcome: "delivered", eventId: `event-${index}` },
    ...{ phone: phoneOf(index), source: "web", reason: null, detail: null },
    idempotencyKey: `${events}:${partition}:${offset}-${offset + 49}:0123456789abcdef`,
    origin: { topic: events, partition, offset, timestamp: time },
    ...{ environments: results, occurredAt: time, completedAt: time },
  };
  return { key: phoneOf(index), value: JSON.stringify(status) };
}

/** Seconds from the command's start to its end. */
async function timeTrace(config: string, ...more: string[]): Promise<number> {
  const startedAt = performance.now();
  const cli = runCli(["trace", phoneOf(RECORDS / 2), "--config", config, "--json", ...more]);
  if ((await finished(cli)) !== 0) throw new Error(cli.stderr());
  const { events }: Trace = JSON.parse(cli.stdout());
  if (events.length !== 1) throw new Error(`${events.length} opt-outs found; the measurement says nothing`);
  return (performance.now() - startedAt) / 1_000;
}

export async function measureTrace(partitions: number): Promise<Measurement[]> {
  const topic = `${RECORDS} statuses, ${partitions} ${partitions === 1 ? "partition" : "partitions"}`;
  say(`trace, ${topic}`);
  await using scenario = await createScenario({ partitions });
  const { kafka, topics, environments } = scenario.config;
  for (let from = 0; from < RECORDS; from += CHUNK) {
    const messages = Array.from({ length: CHUNK }, (_, index) => statusOf(from + index, scenario));
    await scenario.producer.send([{ topic: topics.status, messages }]);
  }
  const folder = await mkdtemp(join(tmpdir(), "optout-bench-"));
  try {
    const config = join(folder, "config.json");
    const auth = { clientId: "relay", clientSecret: "relay-secret" };
    const input = {
      kafka: { brokers: kafka.brokers, groupId: kafka.groupId },
      topics,
      environments: environments.map(({ name, baseUrl }) => ({ name, baseUrl, auth })),
    };
    await writeFile(config, JSON.stringify(input));
    const byKey = await timeTrace(config);
    const all = await timeTrace(config, "--all-partitions");
    const ratio = byKey / all;
    return [
      {
        what: `trace of one number, ${topic}`,
        measured: `${byKey.toFixed(1)} s`,
        bar: `within ${MAX_SECONDS} s`,
        met: byKey <= MAX_SECONDS,
      },
      ...(partitions === 1
        ? []
        : [
            {
              what: `its time to that of reading all ${partitions} partitions`,
              measured: ratio.toFixed(2),
              bar: "at most 0.7",
              met: ratio <= 0.7,
            },
          ]),
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

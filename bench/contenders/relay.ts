import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConfigInput } from "../../src/config/schema.ts";
import { CLI } from "../../test/support/process.ts";
import { start } from "../process.ts";
import type { Contender, Task } from "./contender.ts";

const statusTopic = ({ groupId }: Task): string => `${groupId}-status`;
const deadLetterTopic = ({ groupId }: Task): string => `${groupId}-dead-letter`;

const configOf = (task: Task): ConfigInput => ({
  kafka: {
    brokers: task.brokers,
    clientId: task.clientId,
    groupId: task.groupId,
    sessionTimeout: `${task.sessionTimeoutMs}ms`,
  },
  topics: { events: task.topic, status: statusTopic(task), deadLetter: deadLetterTopic(task) },
  batching: { maxEntries: task.batch, maxWait: `${task.maxWaitMs}ms` },
  environments: task.environments.map((baseUrl, index) => ({
    name: `environment-${index}`,
    baseUrl,
    auth: { clientId: "bench", clientSecret: "bench-secret" },
    // So that it isn't the limit.
    requestsPerSecond: 10_000,
  })),
  server: { port: 0 },
});

/** As users run it: the command, a status published for every event. */
export const relay: Contender = {
  name: "relay",
  title: "Optout Relay",
  waits: true,
  outputs: (task) => [statusTopic(task), deadLetterTopic(task)],
  async start(task) {
    const folder = await mkdtemp(join(tmpdir(), "optout-bench-"));
    const file = join(folder, "config.json");
    await writeFile(file, JSON.stringify(configOf(task)));
    const child = start(process.execPath, [...flags(), CLI, "relay", "--config", file]);
    child.ended.catch(() => rm(folder, { recursive: true }));
    return child;
  },
  assignedAt: ({ msg, time }) =>
    msg === "partitions taken over" && typeof time === "string" ? Date.parse(time) : undefined,
};

/** `OPTOUT_BENCH_NODE_FLAGS="--cpu-prof --cpu-prof-dir=/tmp/profiles"` profiles it. */
const flags = (): string[] =>
  (process.env.OPTOUT_BENCH_NODE_FLAGS ?? "").split(" ").filter((flag) => flag !== "");

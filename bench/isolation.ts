/** Whether two environments notice that a third is dead: their throughput with it and without, and the relay's memory. */
import { readFile } from "node:fs/promises";
import { createScenario, optOuts, type RelayProcess } from "../test/support/scenario.ts";
import { waitFor } from "../test/support/wait.ts";
import { type Measurement, say } from "./report.ts";

const EVENTS = 50_000;
const CHUNK = 5_000;
const ALIVE = ["production", "eu-central"];

interface Run {
  /** From the relay's start to the last entry on both lists, in milliseconds. */
  elapsed: number;
  /** The most memory the relay ever had, in MiB. */
  peakMemory: number;
}

async function run(partitions: number, dead: string[]): Promise<Run> {
  const environments = [...ALIVE, ...dead];
  await using scenario = await createScenario({ partitions, environments, requestsPerSecond: 100 });
  const { simulator } = scenario;
  for (const name of ALIVE) simulator.setFaults(name, { requestsPerSecond: 100, latencyMs: 100 });
  for (const name of dead) simulator.setFaults(name, { outage: true });
  for (let from = 0; from < EVENTS; from += CHUNK) await scenario.produce(optOuts(from, from + CHUNK));
  const startedAt = performance.now();
  const relay = await scenario.startRelay();
  await waitFor(
    "both lists to be whole",
    () => ALIVE.every((name) => simulator.entries(name).length === EVENTS),
    5 * 60_000,
  );
  return { elapsed: performance.now() - startedAt, peakMemory: await peakMemoryOf(relay) };
}

/** VmHWM of /proc/PID/status, which is in KiB. */
async function peakMemoryOf({ pid }: RelayProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

export async function measureIsolation(partitions: number): Promise<Measurement[]> {
  const topic = `${partitions} ${partitions === 1 ? "partition" : "partitions"}`;
  say(`isolation, ${topic}: ${EVENTS} events to two environments, without a third and with a dead one`);
  const without = await run(partitions, []);
  const withDead = await run(partitions, ["us-west"]);
  const ratio = without.elapsed / withDead.elapsed;
  return [
    {
      what: `throughput of two environments with a third dead, to that without it, ${topic}`,
      measured: ratio.toFixed(2),
      bar: "0.9 to 1.1",
      met: ratio >= 0.9 && ratio <= 1.1,
    },
    {
      what: `peak memory with ${EVENTS} events pending for the dead one, ${topic}`,
      measured: `${Math.round(withDead.peakMemory)} MiB`,
      bar: "under 286 MiB (300 MB)",
      met: withDead.peakMemory * 1.048576 < 300,
    },
  ];
}

/** What is asked of the relay, held against what was measured in the same run. */
import type { Growth } from "./growth.ts";
import type { Latency } from "./latency.ts";
import type { Recovery } from "./recovery.ts";
import type { Repeated } from "./repeat.ts";
import type { Measurement } from "./report.ts";
import type { Setting } from "./throughput.ts";

const MAX_MIB = 286;
const MAX_ADDED_MS = 25;
const RECOVERY_SLACK_SECONDS = 2;
const MIN_SPEED_UP = 5;
const FLAT = 0.9;
const MAX_CPU_SECONDS: Record<number, number> = { 500: 20, 50: 40 };

const atLeast = (what: string, ratio: number, bar: number): Measurement => ({
  ...{ what, measured: ratio.toFixed(2), bar: `at least ${bar}`, met: ratio >= bar },
});

const atMost = (what: string, value: number, bar: number, unit: string): Measurement => ({
  ...{ what, measured: `${value.toFixed(1)} ${unit}`, bar: `at most ${bar} ${unit}`, met: value <= bar },
});

const ratio = (one: Repeated, other: Repeated): number => one.eventsPerSecond / other.eventsPerSecond;

export function throughputBars(settings: readonly Setting[]): Measurement[] {
  return settings.flatMap(({ batch, latencyMs, figures }) => {
    const { relay, "plain-loop": plainLoop, "parallel-consumer": parallelConsumer } = figures;
    if (relay === undefined) return [];
    const where = `batches of ${batch}, ${latencyMs} ms`;
    const maxCpu = MAX_CPU_SECONDS[batch];
    const memory = atMost(`peak memory, ${where}`, relay.peakMiB, MAX_MIB, "MiB");
    if (latencyMs > 0) {
      const what = `events/s to the plain loop's, ${where}`;
      return plainLoop === undefined
        ? [memory]
        : [atLeast(what, ratio(relay, plainLoop), MIN_SPEED_UP), memory];
    }
    const what = `events/s to Parallel Consumer's, ${where}`;
    return [
      ...(parallelConsumer === undefined ? [] : [atLeast(what, ratio(relay, parallelConsumer), 1)]),
      ...(maxCpu === undefined
        ? []
        : [atMost(`CPU per million events, ${where}`, relay.cpuSecondsPerMillion, maxCpu, "s")]),
      memory,
    ];
  });
}

export const latencyBars = (latencies: readonly Latency[]): Measurement[] =>
  latencies.flatMap(({ maxWaitMs, figures: { relay } }) =>
    relay === undefined
      ? []
      : [atMost(`p99 beyond a maxWait of ${maxWaitMs} ms`, relay.p99 - maxWaitMs, MAX_ADDED_MS, "ms")],
  );

export const recoveryBars = ({ sessionTimeoutSeconds, figures: { relay } }: Recovery): Measurement[] =>
  relay === undefined
    ? []
    : [
        atMost(
          "deliveries again after kill -9 of one of two",
          relay,
          sessionTimeoutSeconds + RECOVERY_SLACK_SECONDS,
          "s",
        ),
      ];

/** The largest backlog against the best of the smaller ones: code that is still cold makes the smallest slow. */
export function growthBars(points: readonly Growth[]): Measurement[] {
  const measured = points.flatMap(({ events, figures: { relay } }) => (relay ? [{ events, relay }] : []));
  const largest = measured.reduce(
    (best, each) => (each.events > (best?.events ?? 0) ? each : best),
    measured[0],
  );
  if (largest === undefined) return [];
  const same = backlogSeries(points).flatMap(({ events, figures: { relay } }) =>
    relay && events < largest.events ? [relay.eventsPerSecond] : [],
  );
  const peak = Math.max(...measured.map(({ relay }) => relay.peakMiB));
  return [
    atLeast(
      "events/s of the largest backlog to the best of smaller ones",
      largest.relay.eventsPerSecond / Math.max(...same),
      FLAT,
    ),
    atMost("peak memory, all of growth", peak, MAX_MIB, "MiB"),
  ];
}

/** Those that differ in the backlog alone. */
export const backlogSeries = (points: readonly Growth[]): Growth[] =>
  points
    .filter(({ partitions, environments, batch }) => partitions === 6 && environments === 3 && batch === 500)
    .toSorted((one, other) => one.events - other.events);

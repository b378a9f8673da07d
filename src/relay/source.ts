import type { Environment } from "../delivery/environment.ts";
import type { MetricsSource } from "../observability/gauges.ts";
import type { Slot } from "./slot.ts";

/** What the gauges show, read off the partitions at each scrape. */
export function metricsSource(
  slots: () => ReadonlyMap<number, Slot>,
  environments: readonly Environment[],
): MetricsSource {
  const pendingOf = (environment: number): { entries: number; oldest: number } => {
    let entries = 0;
    let oldest = Number.POSITIVE_INFINITY;
    for (const { partition } of slots().values()) {
      entries += partition.openEntries(environment);
      oldest = Math.min(oldest, partition.openOldestAskedAt(environment));
      for (const { batch, outcomes } of partition.sealed) {
        if (outcomes[environment] !== undefined) continue;
        entries += batch.entries.length;
        oldest = Math.min(oldest, batch.oldestAskedAt);
      }
    }
    return { entries, oldest };
  };

  return {
    partitions: () =>
      [...slots().values()].map(({ partition, highWatermark, paused }) => ({
        partition: partition.number,
        committedOffset: partition.committedOffset,
        lag: highWatermark === undefined ? undefined : Math.max(0, highWatermark - partition.committedOffset),
        ledgerUsedRatio: partition.ledgerUsedRatio,
        paused,
      })),
    environments: () =>
      environments.map(({ lane }, index) => {
        const { entries, oldest } = pendingOf(index);
        return {
          name: lane.name,
          pendingEntries: entries,
          oldestPendingAt: Number.isFinite(oldest) ? oldest : undefined,
        };
      }),
    lanes: () => environments.map(({ lane }) => ({ name: lane.name, ...lane.state() })),
  };
}

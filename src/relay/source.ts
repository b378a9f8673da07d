import type { Environment } from "../delivery/environment.ts";
import type { MetricsSource } from "../observability/gauges.ts";
import type { Slot } from "./slot.ts";

/** Records between the committed offset and the partition's end; undefined while its end is unknown. */
export const lagOf = ({ partition, highWatermark }: Slot): number | undefined =>
  highWatermark === undefined ? undefined : Math.max(0, highWatermark - partition.committedOffset);

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
      [...slots().values()].map((slot) => ({
        partition: slot.partition.number,
        committedOffset: slot.partition.committedOffset,
        lag: lagOf(slot),
        ledgerUsedRatio: slot.partition.ledgerUsedRatio,
        paused: slot.paused,
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

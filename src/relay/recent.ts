import { rfc3339 } from "../events/timestamp.ts";
import type { BatchResults, EventOutcome } from "./result-messages.ts";
import type { NotDeliveredView, RelayState, SettledView } from "./state-view.ts";

/** What became of events since the start, and of the last ones in detail. For people: metrics have their own counters. */
export interface Recent {
  /** Its results are published. */
  onSettled(batch: { partition: number; first: number; last: number }, results: BatchResults): void;
  view(): Pick<RelayState, "outcomes" | "rejections" | "settled" | "notDelivered">;
}

/** Of each list. Many rejections must not push the batches out, nor the other way round. */
export const RECENT = 25;
/** An event may be refused by all 64 environments; so many are named. */
const REFUSING_NAMED = 8;

export function createRecent(): Recent {
  const outcomes: Record<EventOutcome, number> = { delivered: 0, rejected: 0, partially_delivered: 0 };
  const rejections = new Map<string, number>();
  let settled: SettledView[] = [];
  let notDelivered: NotDeliveredView[] = [];

  const isKnown = (outcome: EventOutcome): outcome is NotDeliveredView["outcome"] => outcome !== "delivered";

  return {
    onSettled({ partition, first, last }, results) {
      const at = rfc3339(Date.now());
      for (const outcome of Object.keys(outcomes) as EventOutcome[]) {
        outcomes[outcome] += results.outcomes[outcome];
      }
      for (const [reason, events] of results.rejections) {
        rejections.set(reason, (rejections.get(reason) ?? 0) + events);
      }
      const { answeredAt, deliveredAskedAt } = results;
      const oldest = deliveredAskedAt.reduce((least, asked) => Math.min(least, asked), answeredAt);
      const slowestMs = deliveredAskedAt.length === 0 ? null : Math.round(answeredAt - oldest);
      const batch = { at, partition, first, last, outcomes: { ...results.outcomes }, slowestMs };
      settled = [batch, ...settled].slice(0, RECENT);
      // As good as always all are delivered, and then there is nothing to look for among hundreds.
      if (results.rejections.size === 0) return;
      const failed = results.statuses
        .flatMap(({ outcome, reason, origin, environments }): NotDeliveredView[] => {
          if (!isKnown(outcome) || reason === null) return [];
          const refusedBy = environments.flatMap((each) => (each.outcome === "rejected" ? [each.name] : []));
          const named = refusedBy.slice(0, REFUSING_NAMED);
          return [{ at, partition, offset: origin.offset, outcome, reason, refusedBy: named }];
        })
        .reverse();
      if (failed.length > 0) notDelivered = [...failed, ...notDelivered].slice(0, RECENT);
    },
    view: () => ({ outcomes, rejections: Object.fromEntries(rejections), settled, notDelivered }),
  };
}

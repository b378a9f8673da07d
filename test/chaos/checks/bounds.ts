import type { Evidence, Violation } from "../evidence.ts";
import { byName } from "../history.ts";
import { ledgerRanges } from "./requests.ts";

/**
 * Invariant 7: what a partition holds in memory is bounded; a range of the ledger that was begun is completed nevertheless.
 * That a healthy environment goes on beside a failing one is waited for in the run itself: see `unfinished`.
 */
export function checkBounds(evidence: Evidence): Violation[] {
  const processes = byName(evidence);
  const longest = new Map(
    Array.from(ledgerRanges(evidence), ([partition, ranges]) => [
      partition,
      Math.max(1, ...ranges.map(({ first, last }) => last - first + 1)),
    ]),
  );
  const tooMany = evidence.pending.filter(({ process, partition, events }) => {
    const bound = processes.get(process)?.settings.maxPendingEntries ?? Number.POSITIVE_INFINITY;
    return events > bound + (longest.get(partition) ?? 1) - 1;
  });
  return [
    ...tooMany.map(({ process, partition, events }) => ({
      invariant: 7 as const,
      what: `${process} held ${events} events of partition ${partition}`,
    })),
    ...evidence.unfinished,
  ];
}

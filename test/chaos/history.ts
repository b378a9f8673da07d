import type { LedgerBatch } from "../../src/batching/ledger.ts";
import { middleOf, type Split } from "../../src/batching/split.ts";
import type { CommitEvidence, Evidence, ProcessEvidence } from "./evidence.ts";

/** The index of the last of some items in order of time that is not later than `at`; -1 if there is none. */
export function lastAt(items: readonly { at: number }[], at: number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((items[middle]?.at ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Commits whose content somebody may have had in mind between the two moments: the one in force at first, and all later ones. */
export function commitsBetween(
  commits: readonly CommitEvidence[],
  from: number,
  to: number,
): readonly CommitEvidence[] {
  return commits.slice(Math.max(0, lastAt(commits, from)), lastAt(commits, to) + 1);
}

export const batchAround = (
  { ledger }: CommitEvidence,
  { first, last }: { first: number; last: number },
): LedgerBatch | undefined => ledger?.find((batch) => batch.first <= first && last <= batch.last);

/** How a split holds the entries from `from` to `to` (exclusive): as one of its pieces, or not as one. */
export function pieceIn(
  split: Split | undefined,
  count: number,
  { from, to }: { from: number; to: number },
): "pending" | "acknowledged" | "halves" | "within" | "across" {
  if (from === 0 && to === count) {
    return split === undefined ? "pending" : typeof split === "string" ? split : "halves";
  }
  if (split === "acknowledged") return "acknowledged";
  if (split === undefined || split === "pending") return "within";
  const middle = middleOf(count);
  if (to <= middle) return pieceIn(split[0], middle, { from, to });
  if (from >= middle) return pieceIn(split[1], count - middle, { from: from - middle, to: to - middle });
  return "across";
}

/**
 * A request may be on its way while everything about it changes, and its sender may be stopped right then: it comes in when
 * the sender wakes up. Whether that explains a request at `at` that should have been written before `since`.
 */
export function wasOnItsWay(
  processes: ReadonlyMap<string, ProcessEvidence>,
  sender: string | null,
  { since, at, lag }: { since: number; at: number; lag: number },
): boolean {
  if (at <= since + lag) return true;
  const process = processes.get(sender ?? "");
  const stopped = process === undefined ? [] : [...process.frozen, ...process.silent];
  return stopped.some(({ from, to }) => from <= since + lag && since <= to && at <= to + lag);
}

export const byName = ({ processes }: Evidence): Map<string, ProcessEvidence> =>
  new Map(processes.map((process) => [process.name, process]));

/** The processes that owned a partition at some time from `from` to `to`, which is when they may have acted for it. */
export function ownersBetween(
  { generations }: Evidence,
  partition: number,
  from: number,
  to: number,
): Set<string> {
  const names = generations
    .slice(Math.max(0, lastAt(generations, from)), lastAt(generations, to) + 1)
    .flatMap(({ owners }) => owners.get(partition) ?? []);
  return new Set(names);
}

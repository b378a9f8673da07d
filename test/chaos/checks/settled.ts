import type { CommitEvidence, Evidence, Violation } from "../evidence.ts";

/** Invariant 2: the committed offset never passes an event that isn't settled, which takes a published status. */
export function checkSettled(evidence: Evidence): Violation[] {
  const published = new Map<string, number>();
  for (const { at, status } of evidence.statuses) {
    published.set(status.statusId, Math.min(at, published.get(status.statusId) ?? at));
  }
  return [...evidence.commits.values()].flatMap((commits) => checkPartition(evidence, published, commits));
}

function checkPartition(
  { topic, events }: Evidence,
  published: ReadonlyMap<string, number>,
  commits: readonly CommitEvidence[],
): Violation[] {
  const violations: Violation[] = [];
  const reported = new Set<string>();
  const hold = (partition: number, commit: CommitEvidence, from: number, to: number, how: string): void => {
    for (const { offset } of events.get(partition) ?? []) {
      if (offset < from || offset >= to) continue;
      const statusId = `${topic}:${partition}:${offset}`;
      if ((published.get(statusId) ?? Number.POSITIVE_INFINITY) <= commit.at || reported.has(statusId))
        continue;
      reported.add(statusId);
      violations.push({
        invariant: 2,
        what: `at ${commit.at}, ${how}, but ${statusId} had no status`,
      });
    }
  };
  let passed = 0;
  const settled = new Set<number>();
  for (const commit of commits) {
    const { partition, offset, ledger } = commit;
    if (offset > passed) hold(partition, commit, passed, offset, `the committed offset was ${offset}`);
    passed = Math.max(passed, offset);
    for (const batch of ledger ?? []) {
      if (!batch.settled || settled.has(batch.first)) continue;
      settled.add(batch.first);
      hold(
        partition,
        commit,
        batch.first,
        batch.last + 1,
        `the ledger had ${batch.first}-${batch.last} as settled`,
      );
    }
  }
  return violations;
}

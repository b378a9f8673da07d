import type { LedgerBatch } from "../../../src/batching/ledger.ts";
import type { CommitEvidence, Evidence, Violation } from "../evidence.ts";
import { byName, ownersBetween } from "../history.ts";
import { type KnownRequest, ledgerRanges, type Requests } from "./requests.ts";

/** Invariant 4: one batch, one key, one body; a range that was in the ledger is never cut otherwise. */
export function checkOneKey(evidence: Evidence, requests: Requests): Violation[] {
  return [
    ...strangeRequests(requests),
    ...overlappingRanges(evidence),
    ...[...evidence.commits.values()].flatMap((commits) => checkSuccession(evidence, commits)),
    ...takenUnderTwoKeys(evidence, requests),
  ];
}

const strangeRequests = ({ unknown }: Requests): Violation[] =>
  unknown
    .filter(({ problem }) => problem !== "never_in_ledger")
    .map(({ request: { environment, key, sender, at }, problem }) => ({
      invariant: 4,
      what:
        problem === "not_a_key"
          ? `${environment} was sent "${key}", which is no idempotency key of this topic`
          : `${environment} was sent ${key} by ${sender} at ${at}, whose digest or bytes aren't those of its range`,
    }));

function overlappingRanges(evidence: Evidence): Violation[] {
  return [...ledgerRanges(evidence).values()].flatMap((ranges) =>
    ranges.flatMap((range, index) => {
      const next = ranges[index + 1];
      if (next === undefined || next.first > range.last) return [];
      const names = `${range.first}-${range.last} and ${next.first}-${next.last}`;
      return [{ invariant: 4 as const, what: `partition ${range.partition} was cut twice: ${names}` }];
    }),
  );
}

/** Each commit follows from the one before: batches leave by being settled, and nothing that was known of them is lost. */
function checkSuccession(evidence: Evidence, commits: readonly CommitEvidence[]): Violation[] {
  const violations: Violation[] = [];
  let previous: CommitEvidence | undefined;
  for (const commit of commits) {
    const { partition, at, offset, ledger } = commit;
    const say = (invariant: Violation["invariant"], what: string): void => {
      violations.push({ invariant, what: `the commit of partition ${partition} at ${at} ${what}` });
    };
    if (ledger === null) say(4, "holds a ledger that can't be read");
    if (previous !== undefined && offset < previous.offset) {
      say(5, `goes back from ${previous.offset} to ${offset}`);
    }
    const present = new Map(ledger?.map((batch) => [`${batch.first}-${batch.last}`, batch]));
    for (const batch of previous?.ledger ?? []) {
      if (batch.last < offset) continue;
      const range = `${batch.first}-${batch.last}`;
      const now = present.get(range);
      if (now === undefined) say(4, `has lost the batch ${range}`);
      else {
        const lost = lostBetween(evidence, { from: previous?.at ?? at, commit }, batch, now);
        if (lost !== undefined) say(lost.invariant, `has lost ${lost.what} of ${range}`);
      }
    }
    previous = commit;
  }
  return violations;
}

function lostBetween(
  evidence: Evidence,
  { from, commit }: { from: number; commit: CommitEvidence },
  before: LedgerBatch,
  now: LedgerBatch,
): Violation | undefined {
  if (before.settled) return now.settled ? undefined : { invariant: 3, what: "the settlement" };
  const processes = byName(evidence);
  const owners = [...ownersBetween(evidence, commit.partition, from, commit.at)].flatMap(
    (name) => processes.get(name)?.settings ?? [],
  );
  if (now.digest !== before.digest) {
    // Only another default region makes another body of the same records.
    const regions = new Set(evidence.processes.map(({ settings }) => settings.region));
    return regions.size > 1 ? undefined : { invariant: 4, what: "the body" };
  }
  for (const [index, environment] of evidence.environments.entries()) {
    if (!before.acknowledged[index] || now.acknowledged[index] || now.settled) continue;
    if (owners.some(({ environments }) => !environments.includes(environment))) continue;
    return { invariant: 3, what: `the acknowledgement by ${environment}` };
  }
  return undefined;
}

/** How often the body of a range had changed by then, which voids what was known of its pieces, also if it is the first again. */
function changesOfBody({ commits }: Evidence, { request, batch }: KnownRequest): number {
  let changes = 0;
  let digest: number | undefined;
  for (const { at, ledger } of commits.get(batch.partition) ?? []) {
    if (at > request.at) break;
    const entry = ledger?.find(({ first, last }) => first === batch.first && last === batch.last);
    if (entry === undefined) continue;
    if (digest !== undefined && entry.digest !== digest) changes++;
    digest = entry.digest;
  }
  return changes;
}

/** Different pieces of a batch's body were taken under keys of their own; none of them, nor the whole, may be taken again. */
function takenUnderTwoKeys(evidence: Evidence, { known }: Requests): Violation[] {
  const { shortUntil } = evidence;
  const taken = new Map<string, KnownRequest[]>();
  for (const each of known) {
    const { request, batch, digest } = each;
    // One that was taken in part has to be sent again in pieces.
    if (!request.applied || request.at <= (shortUntil.get(request.environment) ?? 0)) continue;
    const body = `${digest} ${changesOfBody(evidence, each)}`;
    const id = `${request.environment} ${batch.partition}:${batch.first}-${batch.last} ${body}`;
    taken.set(id, [...(taken.get(id) ?? []), each]);
  }
  return [...taken.values()].flatMap((all) =>
    all.flatMap((one, index) => {
      const other = all
        .slice(index + 1)
        .find(({ request, from, to }) => request.key !== one.request.key && from < one.to && one.from < to);
      if (other === undefined) return [];
      const { environment, key } = one.request;
      return [
        { invariant: 4 as const, what: `${environment} took entries under ${key} and ${other.request.key}` },
      ];
    }),
  );
}

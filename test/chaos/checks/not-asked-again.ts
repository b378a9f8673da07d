import type { CommitEvidence, Evidence, Violation } from "../evidence.ts";
import { batchAround, byName, commitsBetween, lastAt, pieceIn, wasOnItsWay } from "../history.ts";
import type { KnownRequest, Requests } from "./requests.ts";

/**
 * Invariant 3: an environment whose acknowledgement is in the ledger is never sent that batch again; nor what is settled.
 * And a batch that the ledger has in pieces isn't sent whole again, for pieces of it may have been taken.
 */
export function checkNotAskedAgain(evidence: Evidence, { known }: Requests): Violation[] {
  const processes = byName(evidence);
  const { lag } = evidence;
  return known.flatMap((each) => {
    const { request, batch } = each;
    const { at, sender } = request;
    const commits = evidence.commits.get(batch.partition) ?? [];
    const environment = evidence.environments.indexOf(request.environment);
    const inForce = commitsBetween(commits, at - lag, at);
    const forbids = (commit: CommitEvidence): string | undefined => whyNot(commit, each, environment);
    const [why] = inForce.map(forbids);
    if (why === undefined || !inForce.every((commit) => forbids(commit) !== undefined)) return [];
    const since = forbiddenSince(commits, lastAt(commits, at), (commit) => forbids(commit) !== undefined);
    if (wasOnItsWay(processes, sender, { since, at, lag })) return [];
    const what = `${request.environment} was sent ${request.key} by ${sender} at ${at}, though the ledger had ${why} since ${since}`;
    return [{ invariant: why === "it in pieces" ? 4 : 3, what }];
  });
}

/** What the ledger says against sending this, in words. */
function whyNot(
  commit: CommitEvidence,
  { batch, digest, ...piece }: KnownRequest,
  environment: number,
): string | undefined {
  if (commit.offset > batch.last) return "it behind the committed offset";
  const recorded = batchAround(commit, batch);
  if (recorded?.settled) return "it as settled";
  if (recorded?.digest !== digest) return undefined;
  if (recorded.acknowledged[environment]) return "its acknowledgement";
  const held = pieceIn(recorded.splits?.[environment], piece.count, piece);
  if (held === "acknowledged") return "its acknowledgement";
  return held === "halves" || held === "across" ? "it in pieces" : undefined;
}

function forbiddenSince(
  commits: readonly CommitEvidence[],
  last: number,
  forbids: (commit: CommitEvidence) => boolean,
): number {
  let index = last;
  for (let commit = commits[index - 1]; commit !== undefined && forbids(commit); commit = commits[index - 1])
    index--;
  return commits[index]?.at ?? Number.POSITIVE_INFINITY;
}

import type { LedgerBatch } from "../../../src/batching/ledger.ts";
import type { Evidence, Violation } from "../evidence.ts";
import { pieceIn } from "../history.ts";
import type { KnownRequest, Requests } from "./requests.ts";

/** Below this, a ledger has room for every split. */
const ROOMY_CHARS = 3_000;

/** Invariant 1: a batch is in the committed ledger before its first byte goes out, and so is its split before a piece does. */
export function checkRecorded(evidence: Evidence, { known, unknown }: Requests): Violation[] {
  const violations: Violation[] = unknown
    .filter(({ problem }) => problem === "never_in_ledger")
    .map(({ request }) => ({
      invariant: 1,
      what: `${request.environment} was sent ${request.key}, whose range no ledger ever held`,
    }));
  const recordings = recordingsOf(evidence);
  for (const each of known) {
    const { environment, key, at, sender } = each.request;
    const index = evidence.environments.indexOf(environment);
    const ofBatch = recordings.get(idOf(each.batch.partition, each.batch)) ?? [];
    if (ofBatch.some((recording) => recording.at <= at && isRecorded(recording, each, index))) continue;
    violations.push({
      invariant: 1,
      what: `${environment} was sent ${key} by ${sender} at ${at}, before a commit held it as such`,
    });
  }
  return violations;
}

interface Recording {
  at: number;
  chars: number;
  batch: LedgerBatch;
}

const idOf = (partition: number, { first, last }: { first: number; last: number }): string =>
  `${partition}:${first}-${last}`;

/** By range, every time that a commit held it. */
function recordingsOf({ commits }: Evidence): Map<string, Recording[]> {
  const recordings = new Map<string, Recording[]>();
  for (const [partition, ofPartition] of commits) {
    for (const { at, ledger, metadata } of ofPartition) {
      for (const batch of ledger ?? []) {
        const id = idOf(partition, batch);
        const known = recordings.get(id) ?? [];
        if (known.length === 0) recordings.set(id, known);
        known.push({ at, chars: metadata.length, batch });
      }
    }
  }
  return recordings;
}

function isRecorded(
  { batch, chars }: Recording,
  { digest, ...piece }: KnownRequest,
  environment: number,
): boolean {
  if (batch.digest !== digest) return false;
  if (piece.to - piece.from === piece.count || chars > ROOMY_CHARS) return true;
  const held = pieceIn(batch.splits?.[environment], piece.count, piece);
  return held === "pending" || held === "acknowledged" || held === "halves";
}

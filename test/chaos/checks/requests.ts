import { type Batches, createBatches, type KeyRange, REGIONS, readKey } from "../batches.ts";
import type { Evidence, RequestEvidence } from "../evidence.ts";
import { byName } from "../history.ts";
import type { Region } from "../schedule.ts";

/** A request, and what it was about: a batch of the ledger, whole or a piece of it. */
export interface KnownRequest {
  request: RequestEvidence;
  batch: KeyRange;
  /** The 12 bits that the ledger has of the whole batch's body, as the sender read its records. */
  digest: number;
  /** Entries `from` to `to` (exclusive) of `count`. */
  from: number;
  to: number;
  count: number;
}

/** Why a request is none that the contract knows. */
export type UnknownRequest = {
  request: RequestEvidence;
  problem: "not_a_key" | "never_in_ledger" | "other_bytes";
};

/** All requests for entries, told apart once for all checks. */
export interface Requests {
  known: readonly KnownRequest[];
  unknown: readonly UnknownRequest[];
  batches: Batches;
}

const digestOf = (key: string): number => Number.parseInt(key.slice(-16, -13), 16);

/** Every range that a ledger ever held, by partition, in offset order. */
export function ledgerRanges({ commits }: Evidence): Map<number, KeyRange[]> {
  return new Map(
    Array.from(commits, ([partition, ofPartition]) => {
      const ranges = new Map<string, KeyRange>();
      for (const { ledger } of ofPartition) {
        for (const { first, last } of ledger ?? [])
          ranges.set(`${first}-${last}`, { partition, first, last });
      }
      return [partition, [...ranges.values()].sort((a, b) => a.first - b.first || a.last - b.last)];
    }),
  );
}

export function readRequests(evidence: Evidence): Requests {
  const batches = createBatches(evidence);
  const ranges = ledgerRanges(evidence);
  const processes = byName(evidence);
  const known: KnownRequest[] = [];
  const unknown: UnknownRequest[] = [];
  for (const request of evidence.requests) {
    const range = readKey(evidence.topic, request.key);
    const batch = ranges
      .get(range?.partition ?? -1)
      ?.find(({ first, last }) => range !== undefined && first <= range.first && range.last <= last);
    if (range === undefined) unknown.push({ request, problem: "not_a_key" });
    else if (batch === undefined) unknown.push({ request, problem: "never_in_ledger" });
    else {
      const region = processes.get(request.sender ?? "")?.settings.region;
      const found = identify(batches, { request, batch, range }, region === undefined ? REGIONS : [region]);
      if (found === undefined) unknown.push({ request, problem: "other_bytes" });
      else known.push(found);
    }
  }
  return { known, unknown, batches };
}

function identify(
  batches: Batches,
  { request, batch, range }: { request: RequestEvidence; batch: KeyRange; range: KeyRange },
  regions: readonly Region[],
): KnownRequest | undefined {
  const isIt = (expected: { key: string; sha256: string }): boolean =>
    expected.key === request.key && (request.sha256 ?? expected.sha256) === expected.sha256;
  for (const region of regions) {
    const whole = batches.whole(batch, region);
    const common = { request, batch, digest: digestOf(whole.key) };
    if (isIt(whole)) return { ...common, from: 0, to: whole.count, count: whole.count };
    const piece = batches.piece(batch, range, region);
    if (piece !== undefined && isIt(piece)) {
      return { ...common, from: piece.from, to: piece.to, count: piece.count };
    }
  }
  return undefined;
}

import type { Entry } from "../../src/batching/batch.ts";
import type { LedgerBatch } from "../../src/batching/ledger.ts";
import { cutToSize, type EntryRange, pendingPieces } from "../../src/batching/split.ts";
import { type ReadBatch, readKey, readPiece } from "./reading.ts";
import { MAX_ENTRIES_OF } from "./relay-process.ts";
import type { JudgeOptions, Seen } from "./seen.ts";
import type { Answer, createWords } from "./words.ts";

/** A request whose first byte goes out. */
export type Sent = Omit<Answer, "response">;

/** Holds the requests that processes send against the committed ledger, and what environments take against each other. */
export function createRequestJudge(options: JudgeOptions, seen: Seen, words: ReturnType<typeof createWords>) {
  const { say, isRest, rangeOf, ledgerOf, takenOf, isTight, regions } = seen;
  const bodies = new Map<string, string>();

  /** What of a batch the environment hasn't acknowledged, by the ledger. */
  const pendingOf = (ledgerBatch: LedgerBatch, index: number, { entries }: ReadBatch, name: string) => {
    const split = ledgerBatch.splits?.[index] ?? "pending";
    const most = MAX_ENTRIES_OF[name] ?? Number.POSITIVE_INFINITY;
    return pendingPieces(cutToSize(split, entries.length, most), entries.length);
  };

  /** Different wishes about one phone go out in their order: none before the environment's last word on those before it. */
  const comesAfter = (
    { environment, key, body, epoch }: Sent,
    partition: number,
    earlier: ReadBatch,
    pending: readonly EntryRange[],
  ): void => {
    const { first, last } = earlier;
    const range = { partition, first, last };
    const later: Entry[] = JSON.parse(body);
    for (const { entry } of pending.flatMap(({ from, to }) => earlier.entries.slice(from, to))) {
      const { phone } = entry;
      const other = later.find((each) => each.phone === phone);
      if (other === undefined || JSON.stringify(other) === JSON.stringify(entry)) continue;
      if (options.refuses(environment, phone) || words.isTaken(epoch, environment, range, entry)) continue;
      if (words.isOutOfPatience(epoch, environment, range, phone)) continue;
      say(`order: ${key} goes to ${environment} before the wish of ${first}-${last} about the same phone`);
    }
  };

  return {
    onSend(sent: Sent) {
      const { process, environment, key, body } = sent;
      const parsed = readKey(key);
      if (parsed === undefined) return say(`a request has no key of ours: ${key}`);
      const { partition, first, last } = parsed;
      const { environments, region } = options.settingOf(process);
      regions.add(region);
      if ((bodies.get(key) ?? body) !== body) say(`4: two bodies go out under ${key}`);
      bodies.set(key, body);
      if (!options.owns(process, partition)) say(`5: ${process} sends ${key}, and doesn't own its partition`);
      const ledger = ledgerOf(options.commitOf(partition), environments);
      const entry = ledger.find((batch) => batch.first <= first && batch.last >= last);
      if (entry === undefined) return say(`1: ${key} goes to ${environment}, and is in no committed ledger`);
      const batch = rangeOf(partition, entry.first, entry.last, region);
      if (batch.digest !== entry.digest) {
        return say(`1: ${key} goes to ${environment}, and the committed ledger has other bytes for it`);
      }
      const index = environments.indexOf(environment);
      if (entry.settled) say(`3: ${key} goes to ${environment}, and is settled in the committed ledger`);
      if (entry.acknowledged[index]) say(`3: ${key} goes to ${environment}, which has acknowledged it`);
      const pieces = pendingOf(entry, index, batch, environment);
      const piece = pieces
        .map(({ from, to }) => readPiece(partition, batch, from, to))
        .find((each) => each.key === key);
      if (piece === undefined) {
        if (!isTight) say(`1: ${key} goes to ${environment}, and is no pending piece of the ledger's`);
      } else if (piece.body !== body) say(`4: ${key} goes out with other bytes than it stands for`);
      for (const earlier of ledger) {
        if (earlier.last >= entry.first) break;
        if (earlier.settled || earlier.acknowledged[index]) continue;
        const before = rangeOf(partition, earlier.first, earlier.last, region);
        if (before.digest !== earlier.digest || regions.size > 1 || isRest(partition, earlier.first))
          continue;
        comesAfter(sent, partition, before, pendingOf(earlier, index, before, environment));
      }
    },

    onApplied(environment: string, key: string, entries: readonly Entry[], isWhole: boolean) {
      const parsed = readKey(key);
      if (parsed === undefined) return;
      const { partition, first, last } = parsed;
      const isExcused = isTight || regions.size > 1 || isRest(partition, first);
      for (const entry of entries) {
        const known = takenOf(environment, partition, entry.phone);
        const other = known.find((each) => each.key !== key && each.last >= first && each.first <= last);
        if (other?.isWhole && isWhole && !isExcused) {
          say(`4: ${environment} took an entry under ${other.key} and under ${key}`);
        }
        known.push({ key, first, last, isWhole, json: JSON.stringify(entry) });
      }
    },
  };
}

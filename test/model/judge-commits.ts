import type { LedgerBatch } from "../../src/batching/ledger.ts";
import type { Commit } from "../../src/kafka/committed.ts";
import type { Committed } from "./broker.ts";
import type { ReadBatch } from "./reading.ts";
import type { JudgeOptions, Seen } from "./seen.ts";

/** Holds the commits that the coordinator took against what was sent, taken and published until then. */
export function createCommitJudge(options: JudgeOptions, seen: Seen) {
  const { say, logOf, isRest, rangeOf, ledgerOf, took, areSettled, isTight, environmentLists } = seen;

  const keepsLedger = (
    { partition, offset }: Committed,
    before: readonly LedgerBatch[],
    after: readonly LedgerBatch[],
  ): void => {
    const start = logOf(partition)?.start ?? 0;
    for (const old of before) {
      if (old.last < Math.max(offset, start)) continue;
      const kept = after.find(
        ({ first, last }) => last === old.last && (first === old.first || old.first < start),
      );
      if (kept === undefined) {
        // What is left of it may have been cut anew, if only its last records are gaps.
        if (old.first >= start) say(`1: ${old.first}-${old.last} is gone from the ledger unsettled`);
        continue;
      }
      if (old.settled && !kept.settled) say(`8: ${old.first}-${old.last} isn't settled any more`);
      if (old.first !== kept.first || old.digest !== kept.digest) continue;
      // One that comes to a full ledger leaves no room for what the others have said.
      if (isTight && environmentLists.size > 1) continue;
      const isForgotten = old.acknowledged.some((flag, index) => flag && !kept.acknowledged[index]);
      if (isForgotten) say(`3: an acknowledgement of ${old.first}-${old.last} is forgotten`);
    }
  };

  const tookAll = (environment: string, partition: number, batch: ReadBatch): boolean =>
    batch.entries.every(({ entry }) => took(environment, partition, batch, entry));

  const isTrue = (partition: number, batch: LedgerBatch, environments: readonly string[]): void => {
    const { first, last, digest, settled, acknowledged } = batch;
    if (settled) areSettled(partition, first, last, "the ledger calls settled");
    if (settled || isRest(partition, first)) return;
    const readings = (["US", "FR"] as const)
      .map((region) => rangeOf(partition, first, last, region))
      .filter((each) => each.digest === digest);
    if (readings.length === 0) {
      say(`1: nobody's reading of ${first}-${last} has the ledger's digest`);
      return;
    }
    environments.forEach((name, index) => {
      if (acknowledged[index] && !readings.some((each) => tookAll(name, partition, each))) {
        say(`3: the ledger has ${name} acknowledge ${first}-${last}, which it didn't take whole`);
      }
    });
  };

  return (commit: Committed, before: Commit | undefined) => {
    const { process, partition, offset, metadata } = commit;
    if (metadata === null) return say(`1: a commit of ${partition} wipes the ledger`);
    if (!options.owns(process, partition)) say(`5: ${process} commits ${partition}, and doesn't own it`);
    if (metadata.length > options.maxLedgerChars) say(`1: a ledger of ${metadata.length} characters`);
    if (before !== undefined && offset < before.offset) say(`2: the committed offset goes back to ${offset}`);
    const { environments } = options.settingOf(process);
    environmentLists.add(environments.join());
    const after = ledgerOf({ offset, metadata }, environments);
    areSettled(partition, Math.max(0, before?.offset ?? 0), offset - 1, "the committed offset passes");
    keepsLedger(commit, ledgerOf(before, environments), after);
    for (const batch of after) isTrue(partition, batch, environments);
    const end = after.at(-1)?.last ?? -1;
    const start = logOf(partition)?.start ?? 0;
    for (const event of logOf(partition)?.events(Math.max(offset, start), end) ?? []) {
      const isCut = after.some(({ first, last }) => first <= event.offset && last >= event.offset);
      if (!isCut) say(`6: the ledger leaves out ${event.offset}`);
    }
  };
}

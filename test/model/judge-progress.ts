import { type ReadEntry, readKey } from "./reading.ts";
import type { JudgeOptions, Seen } from "./seen.ts";
import type { Log } from "./topic.ts";
import { type Answer, isTakenWhole } from "./words.ts";

/** As the partition has it. */
const RESUME_SHARE = 0.8;

/** Holds what there is against what there must be by now: when a process has ended, while one environment is out, at the end. */
export function createProgressJudge(options: JudgeOptions, seen: Seen) {
  const { say, rangeOf, ledgerOf, took, areSettled, isTight } = seen;

  const lackOf = (partition: number, log: Log, outage: string): string | undefined => {
    const owner = options.ownerOf(partition);
    if (owner === undefined) return `nobody owns ${partition}`;
    const { environments, region, maxPendingEntries } = options.settingOf(owner);
    const { offset = log.start } = options.commitOf(partition) ?? {};
    const ledger = ledgerOf(options.commitOf(partition), environments);
    let pending = 0;
    for (const { first, last, digest, settled } of ledger) {
      if (settled) continue;
      // Who has read them holds records that have expired since as well.
      pending += Math.max(0, Math.min(last + 1, log.start) - first);
      if (log.events(Math.max(first, log.start), last).length === 0) continue;
      // A ledger of a time with a larger bound isn't read to its end.
      if (pending >= maxPendingEntries * RESUME_SHARE) return undefined;
      const batch = rangeOf(partition, first, last, region);
      if (batch.digest !== digest) return `${first}-${last} isn't cut again yet`;
      pending += log.events(first, last).length;
      for (const name of environments) {
        const isThere = ({ entry }: ReadEntry) =>
          options.refuses(name, entry.phone) || took(name, partition, batch, entry);
        if (name !== outage && !batch.entries.every(isThere)) return `${name} lacks ${first}-${last}`;
      }
    }
    const unread = log.events(Math.max(log.start, ledger.at(-1)?.last ?? offset - 1) + 1, log.end);
    const isFull = isTight || pending >= maxPendingEntries * RESUME_SHARE;
    return unread.length === 0 || isFull ? undefined : `${unread[0]?.offset} isn't read`;
  };

  return {
    /** If a batch was taken whole, the ledger says so, or it is settled. */
    isRecorded(answer: Answer): void {
      const { process, environment, key } = answer;
      const parsed = readKey(key);
      if (parsed === undefined || !isTakenWhole(answer)) return;
      const { partition, first, last } = parsed;
      const { environments } = options.settingOf(process);
      const batch = ledgerOf(options.commitOf(partition), environments).find(
        (each) => each.first === first && each.last === last,
      );
      if (batch === undefined || batch.settled || batch.acknowledged[environments.indexOf(environment)])
        return;
      say(`drain: ${environment} has acknowledged ${key}, and the ledger doesn't say so at the end`);
    },

    lacks(outage: string): string | undefined {
      for (const [partition, log] of options.logs().entries()) {
        const lack = lackOf(partition, log, outage);
        if (lack !== undefined) return lack;
      }
      return undefined;
    },

    atEnd(): void {
      options.logs().forEach((log, partition) => {
        const { offset = log.start, metadata = "" } = options.commitOf(partition) ?? {};
        if (offset <= log.lastEvent)
          say(`6: ${partition} has events up to ${log.lastEvent}, committed is ${offset}`);
        if (log.lastEvent >= 0 && metadata !== "")
          say(`6: the ledger of ${partition} isn't empty at the end`);
        areSettled(partition, log.start, log.end, "at the end there is");
      });
    },
  };
}

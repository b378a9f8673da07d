import type { Entry } from "../../src/batching/batch.ts";
import { decodeLedger, type LedgerBatch, MAX_LEDGER_CHARS } from "../../src/batching/ledger.ts";
import type { Commit } from "../../src/kafka/committed.ts";
import { type ReadBatch, readRange } from "./reading.ts";
import type { Setting } from "./relay-process.ts";
import type { Log } from "./topic.ts";

export interface JudgeOptions {
  logs(): readonly Log[];
  commitOf(partition: number): Commit | undefined;
  /** By the coordinator, now. */
  owns(process: number, partition: number): boolean;
  ownerOf(partition: number): number | undefined;
  settingOf(process: number): Setting;
  refuses(environment: string, phone: string): boolean;
  /** Of a ledger, at most. In less than the broker's default splits may find no room. */
  maxLedgerChars: number;
}

export interface Taken {
  key: string;
  first: number;
  last: number;
  isWhole: boolean;
  json: string;
}

/** What was seen so far, for all that judge: one word for each event, where it was taken and what was published of it. */
export function createSeen(options: JudgeOptions) {
  const violations: string[] = [];
  const ranges = new Map<string, ReadBatch>();
  /** `environment|partition|phone` → what was taken of it, and whether the environment said so. */
  const taken = new Map<string, Taken[]>();
  /** `partition|offset` → its outcome. */
  const published = new Map<string, string>();

  const say = (violation: string): void => {
    violations.push(violation);
  };
  const logOf = (partition: number): Log | undefined => options.logs()[partition];
  const takenOf = (environment: string, partition: number, phone: string): Taken[] => {
    const id = `${environment}|${partition}|${phone}`;
    const known = taken.get(id) ?? [];
    taken.set(id, known);
    return known;
  };
  const isPublished = (partition: number, offset: number): boolean => published.has(`${partition}|${offset}`);

  return {
    violations,
    say,
    logOf,
    takenOf,
    published,
    isTight: options.maxLedgerChars < MAX_LEDGER_CHARS,
    /** Of all processes that sent something, and of those that committed. */
    regions: new Set<string>(),
    environmentLists: new Set<string>(),

    isRest: (partition: number, first: number): boolean => logOf(partition)?.isRest(first) ?? false,

    rangeOf(partition: number, first: number, last: number, region: Setting["region"]): ReadBatch {
      const id = `${partition} ${first} ${last} ${region}`;
      const known = ranges.get(id);
      const log = logOf(partition);
      if (known !== undefined || log === undefined) return known as ReadBatch;
      const read = readRange(log, partition, [first, last], region);
      ranges.set(id, read);
      return read;
    },

    ledgerOf(commit: Commit | undefined, environments: readonly string[]): LedgerBatch[] {
      if (commit === undefined || commit.offset < 0) return [];
      const decoded = decodeLedger(commit.offset, commit.metadata, environments);
      if (!decoded.ok) say(`the ledger at ${commit.offset} can't be read: ${decoded.problem}`);
      return decoded.ok ? decoded.batches : [];
    },

    /** Whether the environment was given this entry for these events. */
    took: (environment: string, partition: number, { first, last }: ReadBatch, entry: Entry): boolean =>
      takenOf(environment, partition, entry.phone).some(
        (each) => each.first >= first && each.last <= last && each.json === JSON.stringify(entry),
      ),

    areSettled(partition: number, first: number, last: number, what: string): void {
      const log = logOf(partition);
      for (const { offset } of log?.events(Math.max(first, log.start), last) ?? []) {
        if (isPublished(partition, offset)) continue;
        say(`2: ${what} ${offset}, which has no status`);
        return;
      }
    },
  };
}

export type Seen = ReturnType<typeof createSeen>;

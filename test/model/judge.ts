import type { Entry } from "../../src/batching/batch.ts";
import { decodeLedger, type LedgerBatch, MAX_LEDGER_CHARS } from "../../src/batching/ledger.ts";
import { cutToSize, pendingPieces } from "../../src/batching/split.ts";
import type { HttpResponse } from "../../src/delivery/dialects/dialect.ts";
import type { Commit } from "../../src/kafka/committed.ts";
import type { StatusRecord } from "../../src/results/status.ts";
import { type Committed, EVENTS } from "./broker.ts";
import { phoneOf, type ReadBatch, type ReadEntry, readKey, readPiece, readRange } from "./reading.ts";
import { MAX_ENTRIES_OF, type Setting } from "./relay-process.ts";
import { createSends } from "./sends.ts";
import type { Log } from "./topic.ts";

/** As the lane and the partition have it. */
const PATIENCE_WITH_ONE = 8;
const RESUME_SHARE = 0.8;

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

/** What an environment answered to a request, as its sender got it. */
export interface Answer {
  process: number;
  environment: string;
  key: string;
  body: string;
  response: HttpResponse;
  /** Of its sender's assignment. */
  epoch: object | undefined;
}

interface Taken {
  key: string;
  first: number;
  last: number;
  isWhole: boolean;
  json: string;
}

/**
 * Holds what is seen from outside against the invariants: the commits that the coordinator took, the requests that processes
 * send, what environments take, and the statuses that are published. What it knows is one word for each event: where it is cut,
 * where it was taken, and what was published of it.
 */
export interface Judge {
  /** What was seen that must not be; the first is the one to look at. */
  readonly violations: readonly string[];
  say(violation: string): void;
  onCommit(commit: Committed, before: Commit | undefined): void;
  /** A request's first byte goes out. */
  onSend(process: number, environment: string, key: string, body: string): void;
  onApplied(environment: string, key: string, entries: readonly Entry[], isWhole: boolean): void;
  onAnswer(answer: Answer): void;
  onStatus(process: number, value: Buffer): void;
  /** A process ends in order: it says that everything it knows is committed. */
  onDrained(process: number, epoch: object): void;
  isPublished(partition: number, offset: number): boolean;
  /** What the others could have while this environment is out, and haven't; undefined if that is nothing. */
  lacks(outage: string): string | undefined;
  /** Everything was delivered, as it seems. */
  atEnd(): void;
}

export function createJudge(options: JudgeOptions): Judge {
  const violations: string[] = [];
  const isTight = options.maxLedgerChars < MAX_LEDGER_CHARS;
  const bodies = new Map<string, string>();
  /** `environment|partition|phone` → what was taken of it, and whether the environment said so. */
  const taken = new Map<string, Taken[]>();
  /** `partition|offset` → its outcome. */
  const published = new Map<string, string>();
  const ranges = new Map<string, ReadBatch>();
  const regions = new Set<string>();
  const environmentLists = new Set<string>();
  const sends = createSends();
  let answers: Answer[] = [];

  const say = (violation: string): void => {
    violations.push(violation);
  };
  const logOf = (partition: number): Log | undefined => options.logs()[partition];
  const isRest = (partition: number, first: number): boolean => logOf(partition)?.isRest(first) ?? false;

  const rangeOf = (partition: number, first: number, last: number, region: Setting["region"]): ReadBatch => {
    const id = `${partition} ${first} ${last} ${region}`;
    const known = ranges.get(id);
    const log = logOf(partition);
    if (known !== undefined || log === undefined) return known as ReadBatch;
    const read = readRange(log, partition, [first, last], region);
    ranges.set(id, read);
    return read;
  };

  const ledgerOf = (commit: Commit | undefined, environments: readonly string[]): LedgerBatch[] => {
    if (commit === undefined || commit.offset < 0) return [];
    const decoded = decodeLedger(commit.offset, commit.metadata, environments);
    if (!decoded.ok) say(`the ledger at ${commit.offset} can't be read: ${decoded.problem}`);
    return decoded.ok ? decoded.batches : [];
  };

  const onSend: Judge["onSend"] = (process, environment, key, body) => {
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
    const count = batch.entries.length;
    const split = cutToSize(
      entry.splits?.[index] ?? "pending",
      count,
      MAX_ENTRIES_OF[environment] ?? Number.POSITIVE_INFINITY,
    );
    const pieces = pendingPieces(split, count).map(({ from, to }) => readPiece(partition, batch, from, to));
    const piece = pieces.find((each) => each.key === key);
    if (piece === undefined) {
      if (!isTight) say(`1: ${key} goes to ${environment}, and is no pending piece of the ledger's`);
    } else if (piece.body !== body) say(`4: ${key} goes out with other bytes than it stands for`);
    sends.add(environment, parsed);
    for (const earlier of ledger) {
      if (earlier.last >= entry.first) break;
      const isDone = earlier.settled || earlier.acknowledged[index];
      if (!isDone) comesAfter(environment, partition, key, body, earlier, region);
    }
  };

  /** Different wishes about one phone go out in their order: none before the environment's last word on those before it. */
  const comesAfter = (
    environment: string,
    partition: number,
    key: string,
    body: string,
    { first, last, digest }: LedgerBatch,
    region: Setting["region"],
  ): void => {
    const batch = rangeOf(partition, first, last, region);
    if (batch.digest !== digest || regions.size > 1 || isRest(partition, first)) return;
    const later: Entry[] = JSON.parse(body);
    for (const { entry } of batch.entries) {
      const other = later.find(({ phone }) => phone === entry.phone);
      if (other === undefined || JSON.stringify(other) === JSON.stringify(entry)) continue;
      if (options.refuses(environment, entry.phone) || took(environment, partition, batch, entry)) continue;
      if (sends.count(environment, { partition, first, last }) >= PATIENCE_WITH_ONE) continue;
      say(`order: ${key} goes to ${environment} before the wish of ${first}-${last} about the same phone`);
    }
  };

  const onApplied: Judge["onApplied"] = (environment, key, entries, isWhole) => {
    const parsed = readKey(key);
    if (parsed === undefined) return;
    const { partition, first, last } = parsed;
    const isExcused = isTight || regions.size > 1 || isRest(partition, first);
    for (const entry of entries) {
      const id = `${environment}|${partition}|${entry.phone}`;
      const known = taken.get(id) ?? [];
      taken.set(id, known);
      const other = known.find((each) => each.key !== key && each.last >= first && each.first <= last);
      if (other?.isWhole && isWhole && !isExcused) {
        say(`4: ${environment} took an entry under ${other.key} and under ${key}`);
      }
      known.push({ key, first, last, isWhole, json: JSON.stringify(entry) });
    }
  };

  /** Whether the environment was given this entry for these events. */
  const took = (environment: string, partition: number, { first, last }: ReadBatch, entry: Entry): boolean =>
    (taken.get(`${environment}|${partition}|${entry.phone}`) ?? []).some(
      (each) => each.first >= first && each.last <= last && each.json === JSON.stringify(entry),
    );

  const tookAll = (environment: string, partition: number, batch: ReadBatch): boolean =>
    batch.entries.every(({ entry }) => took(environment, partition, batch, entry));

  const isPublished = (partition: number, offset: number): boolean => published.has(`${partition}|${offset}`);

  const areSettled = (partition: number, first: number, last: number, what: string): void => {
    const log = logOf(partition);
    for (const { offset } of log?.events(Math.max(first, log.start), last) ?? []) {
      if (isPublished(partition, offset)) continue;
      say(`2: ${what} ${offset}, which has no status`);
      return;
    }
  };

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

  const onCommit: Judge["onCommit"] = (commit, before) => {
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

  const onStatus: Judge["onStatus"] = (process, value) => {
    const status: StatusRecord = JSON.parse(value.toString());
    const { partition, offset } = status.origin;
    const { environments, region } = options.settingOf(process);
    const record = logOf(partition)?.events(offset, offset)[0];
    if (record === undefined || status.statusId !== `${EVENTS}:${partition}:${offset}`) {
      return say(`8: a status of no event: ${status.statusId}`);
    }
    const names = status.environments.map(({ name }) => name);
    const told = JSON.stringify([status.outcome, status.environments.map(({ outcome }) => outcome), names]);
    const known = published.get(`${partition}|${offset}`);
    if (
      known !== undefined &&
      known !== told &&
      regions.size < 2 &&
      known.endsWith(`${JSON.stringify(names)}]`)
    ) {
      say(`8: two outcomes of ${offset}: ${known} and ${told}`);
    }
    published.set(`${partition}|${offset}`, told);
    const phone = phoneOf(record.wish, region);
    if (phone === null) {
      if (status.outcome !== "rejected" || names.length > 0) say(`8: ${offset} is invalid, but ${told}`);
      return;
    }
    if (names.join() !== environments.join()) say(`6: the status of ${offset} names ${names}`);
    const key = readKey(status.idempotencyKey ?? "");
    const batch = key && rangeOf(partition, key.first, key.last, region);
    const asked = batch?.entries.find(({ entry }) => entry.phone === phone);
    if (batch === undefined || asked === undefined)
      return say(`8: the status of ${offset} names a key that doesn't hold it`);
    for (const { name, outcome } of status.environments) {
      if (outcome === "rejected" && !options.refuses(name, phone)) say(`8: ${name} didn't refuse ${offset}`);
      if (outcome === "accepted" && !took(name, partition, batch, asked.entry)) {
        say(`6: the status of ${offset} says that ${name} has taken it, which it hasn't`);
      }
    }
  };

  /** If a batch was taken whole, the ledger says so, or it is settled. */
  const isRecorded = (process: number, { environment, key, body, response }: Answer): void => {
    const parsed = readKey(key);
    if (parsed === undefined || response.status !== 201) return;
    const { partition, first, last } = parsed;
    const { environments } = options.settingOf(process);
    if (JSON.parse(response.body).entriesProcessed !== JSON.parse(body).length) return;
    const batch = ledgerOf(options.commitOf(partition), environments).find(
      (each) => each.first === first && each.last === last,
    );
    if (batch === undefined || batch.settled || batch.acknowledged[environments.indexOf(environment)]) return;
    say(`drain: ${environment} has acknowledged ${key}, and the ledger doesn't say so at the end`);
  };

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
    violations,
    say,
    onCommit,
    onSend,
    onApplied,
    onStatus,
    isPublished,
    onAnswer: (answer) => void answers.push(answer),
    onDrained(process, epoch) {
      for (const answer of answers) if (answer.epoch === epoch) isRecorded(process, answer);
      answers = answers.filter((answer) => answer.epoch !== epoch);
    },
    lacks: (outage) => {
      for (const [partition, log] of options.logs().entries()) {
        const lack = lackOf(partition, log, outage);
        if (lack !== undefined) return lack;
      }
      return undefined;
    },
    atEnd() {
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

import { createHash } from "node:crypto";
import type { Wish } from "./events.ts";
import type { EventEvidence, Evidence } from "./evidence.ts";
import type { Region } from "./schedule.ts";

/** What a request carries: a range of a partition, as its key says. */
export interface KeyRange {
  partition: number;
  first: number;
  last: number;
}

export const REGIONS: readonly Region[] = ["US", "GB"];

/** Undefined for what isn't a key of the contract. */
export function readKey(topic: string, key: string): KeyRange | undefined {
  const match = /^(.+):(\d+):(\d+)-(\d+):[0-9a-f]{16}$/.exec(key);
  if (match === null || match[1] !== topic) return undefined;
  return { partition: Number(match[2]), first: Number(match[3]), last: Number(match[4]) };
}

/** The body that the contract prescribes for a range, worked out anew from the events alone. */
export interface ExpectedBatch {
  entries: readonly Wish[];
  /** For each entry, the offset of the first event that asked for it. */
  offsets: readonly number[];
}

const isStronger = (candidate: Wish, current: Wish): boolean =>
  current.expiresAt !== null &&
  (candidate.expiresAt === null || Date.parse(candidate.expiresAt) > Date.parse(current.expiresAt));

export function expectedBatch(events: readonly EventEvidence[], region: Region): ExpectedBatch {
  const entries = new Map<string, { wish: Wish; offset: number }>();
  for (const { meaning, offset } of events) {
    const meant = meaning[region];
    if (!("wish" in meant)) continue;
    const { wish } = meant;
    const known = entries.get(wish.phone);
    if (known === undefined) entries.set(wish.phone, { wish, offset });
    else if (isStronger(wish, known.wish)) known.wish = wish;
  }
  const all = [...entries.values()];
  return { entries: all.map(({ wish }) => wish), offsets: all.map(({ offset }) => offset) };
}

const bodyOf = (entries: readonly Wish[]): string =>
  JSON.stringify(
    entries.map(({ phone, source, expiresAt }) =>
      expiresAt === null
        ? { phone, type: "dncl", source }
        : { phone, type: "dncl_expiration", source, expirationDate: expiresAt },
    ),
  );

const sha256 = (...parts: readonly string[]): string => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};

/** A request as it must be: its key follows from its range and its body. */
export interface ExpectedRequest {
  key: string;
  sha256: string;
}

export interface Batches {
  /** The readable events from `first` to `last`. */
  events(range: KeyRange): readonly EventEvidence[];
  /** The whole of a range, as a process with that default region sends it. */
  whole(range: KeyRange, region: Region): ExpectedRequest & { count: number };
  /** The piece of a batch that a key names; undefined if it names none. `from` and `to` (exclusive) count entries. */
  piece(
    batch: KeyRange,
    piece: KeyRange,
    region: Region,
  ): (ExpectedRequest & { from: number; to: number; count: number }) | undefined;
}

/** Answers are remembered: the same ranges are asked for again and again. */
export function createBatches({ topic, clusterId, events }: Evidence): Batches {
  const known = new Map<string, ExpectedBatch>();

  const eventsOf = ({ partition, first, last }: KeyRange): readonly EventEvidence[] =>
    (events.get(partition) ?? []).filter(({ offset }) => offset >= first && offset <= last);

  const batchOf = (range: KeyRange, region: Region): ExpectedBatch => {
    const id = `${range.partition}:${range.first}-${range.last}:${region}`;
    const batch = known.get(id) ?? expectedBatch(eventsOf(range), region);
    known.set(id, batch);
    return batch;
  };

  const requestOf = ({ partition, first, last }: KeyRange, entries: readonly Wish[]): ExpectedRequest => {
    const body = bodyOf(entries);
    const digest = sha256(`${clusterId}\n${topic}\n`, body).slice(0, 16);
    return { key: `${topic}:${partition}:${first}-${last}:${digest}`, sha256: sha256(body) };
  };

  return {
    events: eventsOf,
    whole(range, region) {
      const { entries } = batchOf(range, region);
      return { ...requestOf(range, entries), count: entries.length };
    },
    piece(batch, piece, region) {
      const { entries, offsets } = batchOf(batch, region);
      const from = offsets.indexOf(piece.first);
      const to = offsets.indexOf(piece.last) + 1;
      if (from < 0 || to <= from) return undefined;
      return { ...requestOf(piece, entries.slice(from, to)), from, to, count: entries.length };
    },
  };
}

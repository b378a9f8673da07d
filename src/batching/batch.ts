import { createHash } from "node:crypto";
import type { Decoded } from "../events/event.ts";

/** A record of the events topic as Kafka holds it, kept until its event is settled so that it can be dead-lettered whole. */
export interface SourceRecord {
  offset: number;
  /** Milliseconds since the epoch, from Kafka. */
  timestamp: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, unknown>;
}

/** One phone in a request body; the property order is the body's. */
export interface Entry {
  phone: string;
  type: "dncl" | "dncl_expiration";
  source: string;
  /** RFC 3339; present only with type `dncl_expiration`. */
  expirationDate?: string;
}

export interface BatchEvent {
  record: SourceRecord;
  decoded: Decoded;
  /** Index into the batch's entries, or -1 for a rejected event. */
  entry: number;
  /** When the person asked, else when Kafka got the record; milliseconds since the epoch. */
  askedAt: number;
}

/** A contiguous offset range of one partition, fixed for good: one batch, one key, one body. */
export interface Batch {
  readonly partition: number;
  readonly first: number;
  readonly last: number;
  readonly events: readonly BatchEvent[];
  readonly entries: readonly Entry[];
  /** For each entry, the offset of the first event that asked for it. */
  readonly entryOffsets: readonly number[];
  /** The exact bytes sent: a JSON array of the entries. Empty array when no event of the range is valid. */
  readonly body: Buffer;
  readonly key: string;
  /** When the person of its oldest valid event asked; milliseconds since the epoch, Infinity when none is valid. */
  readonly oldestAskedAt: number;
}

/** Where a batch comes from: everything but the entries that its key depends on. */
export interface BatchScope {
  clusterId: string;
  topic: string;
  partition: number;
}

export const bodyOf = (entries: readonly Entry[]): Buffer => Buffer.from(JSON.stringify(entries));

/**
 * `<topic>:<partition>:<first>-<last>:<16 hex digits>`. The digest covers cluster id, topic and body, so that a recreated
 * topic or a changed normalisation can never reuse a key for other bytes.
 */
export function idempotencyKey(scope: BatchScope, first: number, last: number, body: Buffer): string {
  const digest = createHash("sha256")
    .update(`${scope.clusterId}\n${scope.topic}\n`)
    .update(body)
    .digest("hex");
  return `${scope.topic}:${scope.partition}:${first}-${last}:${digest.slice(0, 16)}`;
}

/** The digest of a batch's key, cut to the 12 bits that the ledger keeps. */
export const ledgerDigest = ({ key }: Pick<Batch, "key">): number => Number.parseInt(key.slice(-16, -13), 16);

function askedAtOf({ timestamp }: SourceRecord, decoded: Decoded): number {
  const { occurredAt } = decoded.ok ? decoded.event : decoded;
  const occurred = occurredAt === null ? Number.NaN : Date.parse(occurredAt);
  return Number.isNaN(occurred) ? timestamp : occurred;
}

/**
 * The stronger of two wishes for one phone: for ever beats until a date, a later date beats an earlier one. Dates are never
 * compared with the time that it is: the same records must make the same batch whenever they are read. So a date that is
 * over is sent like any other, and it is the environment that may refuse it.
 */
const isStronger = (candidate: Entry, current: Entry): boolean =>
  current.expirationDate !== undefined &&
  (candidate.expirationDate === undefined ||
    Date.parse(candidate.expirationDate) > Date.parse(current.expirationDate));

/** Two wishes for one phone that come to the same: their order doesn't matter. */
export const isSameWish = (one: Entry, other: Entry): boolean =>
  !isStronger(one, other) && !isStronger(other, one);

const entryOf = (decoded: Decoded & { ok: true }): Entry => {
  const { phone, type, source, expiresAt } = decoded.event;
  return type === "dncl_expiration" && expiresAt !== null
    ? { phone, type, source, expirationDate: expiresAt }
    : { phone, type: "dncl", source };
};

const quote = (source: string) => {
  const text = JSON.stringify(source);
  return { source, text, bytes: Buffer.byteLength(text) };
};

/** Of most entries the same as of the one before; to quote it anew takes as long as the rest of an entry. */
let latestQuoted = quote("");

function quoted(source: string): typeof latestQuoted {
  if (source !== latestQuoted.source) latestQuoted = quote(source);
  return latestQuoted;
}

/** As `JSON.stringify` does, in half its time: a phone, a type and a date hold nothing to be escaped. */
function written({ phone, type, source, expirationDate }: Entry): string {
  const end = expirationDate === undefined ? "" : `,"expirationDate":"${expirationDate}"`;
  return `{"phone":"${phone}","type":"${type}","source":${quoted(source).text}${end}}`;
}

const FRAME_BYTES = '{"phone":"","type":"","source":}'.length;
const EXPIRATION_BYTES = ',"expirationDate":""'.length;

/** Of what is written. It is asked before an entry may join, so nothing is written for it. */
function writtenBytes({ phone, type, source, expirationDate }: Entry): number {
  const end = expirationDate === undefined ? 0 : EXPIRATION_BYTES + expirationDate.length;
  return FRAME_BYTES + phone.length + type.length + quoted(source).bytes + end;
}

export interface BatchBuilder {
  readonly events: number;
  readonly entries: number;
  /** Exact size of the body as it stands, in bytes. */
  readonly bytes: number;
  /** Offset of the first event, or undefined while empty. */
  readonly first: number | undefined;
  /** Bytes by which this event would make the body grow: 0 for a rejected one, less than 0 if it makes an entry shorter. */
  growth(decoded: Decoded): number;
  add(record: SourceRecord, decoded: Decoded): void;
  /** When the person of the oldest valid event asked; Infinity when none is valid. */
  oldestAskedAt(): number;
  build(): Batch;
}

/** Collects the events of one offset range; equal events in equal order always make an equal batch. */
export function createBatchBuilder(scope: BatchScope): BatchBuilder {
  const events: BatchEvent[] = [];
  const entries: Entry[] = [];
  const entryOffsets: number[] = [];
  const indexOfPhone = new Map<string, number>();
  let bytes = "[]".length;
  let oldest = Number.POSITIVE_INFINITY;
  let latestDecoded: Decoded | undefined;
  let latestOwn: Entry | undefined;

  /** `growth` and then `add` ask for the same. */
  const ownOf = (decoded: Decoded & { ok: true }): Entry => {
    if (latestOwn === undefined || latestDecoded !== decoded) latestOwn = entryOf(decoded);
    latestDecoded = decoded;
    return latestOwn;
  };

  const growthBy = (own: Entry, current: Entry | undefined): number => {
    if (current === undefined) return writtenBytes(own) + (entries.length === 0 ? 0 : ",".length);
    return isStronger(own, current) ? writtenBytes(own) - writtenBytes(current) : 0;
  };

  const addEntry = (own: Entry, offset: number): number => {
    const index = indexOfPhone.get(own.phone);
    const current = index === undefined ? undefined : entries[index];
    bytes += growthBy(own, current);
    if (index === undefined || current === undefined) {
      indexOfPhone.set(own.phone, entries.length);
      entryOffsets.push(offset);
      return entries.push(own) - 1;
    }
    if (isStronger(own, current)) entries[index] = own;
    return index;
  };

  return {
    get events() {
      return events.length;
    },
    get entries() {
      return entries.length;
    },
    get bytes() {
      return bytes;
    },
    get first() {
      return events[0]?.record.offset;
    },
    growth(decoded) {
      if (!decoded.ok) return 0;
      const own = ownOf(decoded);
      return growthBy(own, entries[indexOfPhone.get(own.phone) ?? -1]);
    },
    add(record, decoded) {
      const entry = decoded.ok ? addEntry(ownOf(decoded), record.offset) : -1;
      const askedAt = askedAtOf(record, decoded);
      events.push({ record, decoded, entry, askedAt });
      if (entry >= 0) oldest = Math.min(oldest, askedAt);
    },
    oldestAskedAt: () => oldest,
    build() {
      const first = events[0]?.record.offset;
      const last = events.at(-1)?.record.offset;
      if (first === undefined || last === undefined) throw new RangeError("an empty batch can't be built");
      const body = Buffer.from(`[${entries.map(written).join(",")}]`);
      const key = idempotencyKey(scope, first, last, body);
      return {
        partition: scope.partition,
        first,
        last,
        events,
        entries,
        entryOffsets,
        body,
        key,
        oldestAskedAt: oldest,
      };
    },
  };
}

/** What one request carries: a batch whole, or the entries `from` (inclusive) to `to` (exclusive) of a split one. */
export interface Slice {
  key: string;
  entries: readonly Entry[];
  body: Buffer;
}

/** A part of a split batch gets a key and body of its own, the same after any crash since both follow from the range. */
export function sliceOf(scope: BatchScope, batch: Batch, from: number, to: number): Slice {
  if (from === 0 && to === batch.entries.length) return batch;
  const entries = batch.entries.slice(from, to);
  const body = bodyOf(entries);
  const first = batch.entryOffsets[from] ?? batch.first;
  const last = batch.entryOffsets[to - 1] ?? batch.last;
  return { key: idempotencyKey(scope, first, last, body), entries, body };
}

import { createHash } from "node:crypto";
import type { Entry } from "../../src/batching/batch.ts";
import { EVENTS } from "./broker.ts";
import { CLUSTER_ID, type Setting } from "./relay-process.ts";
import type { Log, Wish } from "./topic.ts";

/** An entry of a request body, and the offset of the first event that asked for it. */
export interface ReadEntry {
  offset: number;
  entry: Entry;
}

export interface ReadBatch {
  first: number;
  last: number;
  entries: readonly ReadEntry[];
  body: string;
  key: string;
  /** The 12 bits of it that a ledger keeps. */
  digest: number;
}

/** The phone that is asked for; null if the event is rejected. */
export const phoneOf = (wish: Wish, region: Setting["region"]): string | null => {
  if (wish.kind === "invalid") return null;
  return wish.kind === "national" && region !== "US" ? null : wish.phone;
};

const entryOf = (wish: Wish, phone: string): Entry =>
  wish.kind === "phone" && wish.until !== null
    ? { phone, type: "dncl_expiration", source: "web", expirationDate: wish.until }
    : { phone, type: "dncl", source: "web" };

/** For good beats a date, a later date an earlier one. */
const beats = (one: Entry, other: Entry): boolean =>
  other.expirationDate !== undefined &&
  (one.expirationDate === undefined || one.expirationDate > other.expirationDate);

/**
 * What requests about a range of offsets must hold, by the contract alone: each phone once, where it was first asked for, with
 * the strongest wish for it.
 */
export function readRange(
  log: Log,
  partition: number,
  [first, last]: readonly [first: number, last: number],
  region: Setting["region"],
): ReadBatch {
  const byPhone = new Map<string, ReadEntry>();
  for (const { offset, wish } of log.events(first, last)) {
    const phone = phoneOf(wish, region);
    if (phone === null) continue;
    const entry = entryOf(wish, phone);
    const known = byPhone.get(phone);
    if (known === undefined) byPhone.set(phone, { offset, entry });
    else if (beats(entry, known.entry)) known.entry = entry;
  }
  const entries = [...byPhone.values()];
  return { first, last, entries, ...identify(partition, entries, first, last) };
}

/** A piece of a batch, by its entries. */
export function readPiece(partition: number, batch: ReadBatch, from: number, to: number): ReadBatch {
  if (from === 0 && to === batch.entries.length) return batch;
  const entries = batch.entries.slice(from, to);
  const first = entries[0]?.offset ?? batch.first;
  const last = entries.at(-1)?.offset ?? batch.last;
  return { first, last, entries, ...identify(partition, entries, first, last) };
}

function identify(partition: number, entries: readonly ReadEntry[], first: number, last: number) {
  const body = JSON.stringify(entries.map(({ entry }) => entry));
  const hex = createHash("sha256").update(`${CLUSTER_ID}\n${EVENTS}\n${body}`).digest("hex");
  const key = `${EVENTS}:${partition}:${first}-${last}:${hex.slice(0, 16)}`;
  return { body, key, digest: Number.parseInt(hex.slice(0, 3), 16) };
}

/** What an idempotency key says. */
export function readKey(key: string): { partition: number; first: number; last: number } | undefined {
  const [, partition, first, last] = /^opt-out-events:(\d+):(\d+)-(\d+):[0-9a-f]{16}$/.exec(key) ?? [];
  if (partition === undefined) return undefined;
  return { partition: Number(partition), first: Number(first), last: Number(last) };
}

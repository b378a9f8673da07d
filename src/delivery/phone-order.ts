import { type Entry, isSameWish } from "../batching/batch.ts";
import type { EntryRange } from "../batching/split.ts";
import type { Part } from "./parts.ts";

/**
 * Sees to it that an environment gets different wishes about one phone in the order of their partition, one after the other:
 * requests go out concurrently and are retried, so that an expiring opt-out could else arrive after the permanent one that
 * followed it, and an API which lets the last word count would end it early. Equal wishes need no order, so what producers
 * mostly send, opt-outs for good, never waits here.
 *
 * Only parts that have left the queue have a place. A part has one for each of its phones, from its first turn on until the
 * environment's last word on that entry. Parts of several partitions have their places in the order of their turns.
 *
 * Waits can't form a circle: a part waits only for parts that had their places before it. Pure.
 *
 * It can't see what other replicas send, so producers should key by phone. Nor does it know what is on a list: a weaker wish is
 * sent after a stronger one of an earlier batch, and whether that weakens the entry is up to the API.
 */
export interface PhoneOrder {
  /** Parts that wait. */
  readonly waiting: number;
  /** Whether the part may be sent; gives it its places if it has none. Else it waits until `leave` hands it over. */
  admit(part: Part): boolean;
  /** Takes away the places that a part has for a range of its batch's entries; the parts that wait for nothing any more. */
  leave(part: Part, range: EntryRange): Part[];
  clear(): void;
}

/** Parts with the same wish for a phone, which need no order among themselves. */
interface Group {
  readonly entry: Entry;
  readonly parts: Part[];
}

const isForGood = ({ expirationDate }: Entry): boolean => expirationDate === undefined;

const without = (range: EntryRange, taken: EntryRange): EntryRange[] =>
  [
    { from: range.from, to: Math.min(range.to, taken.from) },
    { from: Math.max(range.from, taken.to), to: range.to },
  ].filter(({ from, to }) => from < to);

export function createPhoneOrder(): PhoneOrder {
  /** By phone, first come first: the parts of the first group may be sent, as far as this phone goes. No list or group is empty. */
  const lines = new Map<string, Group[]>();
  /**
   * The same while there are opt-outs for good only, which are all the same wish: for each job, a part of it and what it has
   * places for. Lines are made of it when the first part comes that wishes for something else. Worth: 4 % of the relay's
   * processor time.
   */
  const plain = new Map<Part["job"], { part: Part; ranges: EntryRange[] }>();
  /** For parts that wait: for how many of its phones another group is before its own; never 0. */
  const waiting = new Map<Part, number>();

  /** Pieces take over the places of the part they are of, so it is their batch that tells. A part has all its places or none. */
  const hasPlaces = ({ job, slice, from: at }: Part): boolean => {
    const ranges = plain.get(job)?.ranges;
    if (ranges?.some(({ from, to }) => at >= from && at < to)) return true;
    const first = lines.get(slice.entries[0]?.phone ?? "")?.[0];
    return first?.parts.some((part) => part.job === job) === true;
  };

  /** Takes places that nobody can have to wait for; false if that isn't so. */
  const admitPlain = (part: Part): boolean => {
    if (lines.size > 0 || !part.slice.entries.every(isForGood)) return false;
    const { from, to } = part;
    const known = plain.get(part.job);
    if (known === undefined) plain.set(part.job, { part, ranges: [{ from, to }] });
    else known.ranges.push({ from, to });
    return true;
  };

  const leavePlain = ({ job }: Part, left: EntryRange): void => {
    const known = plain.get(job);
    if (known === undefined) return;
    known.ranges = known.ranges.flatMap((range) => without(range, left));
    if (known.ranges.length === 0) plain.delete(job);
  };

  const makeLines = (): void => {
    for (const { part, ranges } of plain.values()) {
      for (const { from, to } of ranges) {
        for (const entry of part.job.batch.entries.slice(from, to)) addPlace(part, entry);
      }
    }
    plain.clear();
  };

  /** Gives the part its place for an entry; false if it has to wait there. */
  const addPlace = (part: Part, entry: Entry): boolean => {
    const line = lines.get(entry.phone);
    const last = line?.at(-1);
    if (line === undefined) lines.set(entry.phone, [{ entry, parts: [part] }]);
    else if (last !== undefined && isSameWish(last.entry, entry)) last.parts.push(part);
    else line.push({ entry, parts: [part] });
    return line === undefined || line.length === 1;
  };

  /** Takes the place of the part's batch for a phone away; answers those who needn't wait there any more. */
  const removePlace = ({ job }: Part, phone: string): readonly Part[] => {
    const line = lines.get(phone);
    const first = line?.[0];
    // Whoever was sent is in the first group.
    const index = first?.parts.findIndex((part) => part.job === job) ?? -1;
    if (line === undefined || first === undefined || index < 0) return [];
    first.parts.splice(index, 1);
    if (first.parts.length > 0) return [];
    line.shift();
    if (line.length === 0) lines.delete(phone);
    return line[0]?.parts ?? [];
  };

  return {
    get waiting() {
      return waiting.size;
    },
    admit(part) {
      if (hasPlaces(part) || admitPlain(part)) return true;
      makeLines();
      const waits = part.slice.entries.filter((entry) => !addPlace(part, entry)).length;
      if (waits > 0) waiting.set(part, waits);
      return waits === 0;
    },
    leave(part, range) {
      const { from, to } = range;
      leavePlain(part, range);
      if (lines.size === 0) return [];
      const free: Part[] = [];
      for (const { phone } of part.job.batch.entries.slice(from, to)) {
        for (const other of removePlace(part, phone)) {
          const left = (waiting.get(other) ?? 0) - 1;
          if (left > 0) {
            waiting.set(other, left);
          } else {
            waiting.delete(other);
            free.push(other);
          }
        }
      }
      return free;
    },
    clear() {
      lines.clear();
      plain.clear();
      waiting.clear();
    },
  };
}

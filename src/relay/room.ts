import type { SourceRecord } from "../batching/batch.ts";

/** Room for a partition's unsettled records, which are kept for their dead letters. */
export interface Room {
  readonly events: number;
  /** Whether this share of the room, 0 to 1, is taken. */
  isFull(share: number): boolean;
  add(record: SourceRecord): void;
  remove(record: SourceRecord): void;
}

/** Of all that a process owns: each partition gets the same part of it. */
const PROCESS_BYTES = 128 * 1024 * 1024;

/** Bytes of unsettled records that each partition may hold in a process that owns so many. */
export const pendingBytesOfEach = (ownedPartitions: number): number =>
  PROCESS_BYTES / Math.max(1, ownedPartitions);

/** What a record costs besides its own bytes, as measured: its event, its entry, its share of a batch and its objects. */
export const RECORD_OVERHEAD_BYTES = 900;

const lengthOf = (part: unknown): number =>
  Array.isArray(part)
    ? part.reduce((sum: number, each) => sum + lengthOf(each), 0)
    : typeof part === "string" || Buffer.isBuffer(part)
      ? part.length
      : 0;

function recordBytes({ key, value, headers }: SourceRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const name in headers) bytes += name.length + lengthOf(headers[name]);
  return bytes;
}

export function createRoom(limits: { maxPendingEntries: number; maxPendingBytes: number }): Room {
  let events = 0;
  let bytes = 0;
  return {
    get events() {
      return events;
    },
    isFull: (share) => events >= limits.maxPendingEntries * share || bytes >= limits.maxPendingBytes * share,
    add(record) {
      events++;
      bytes += recordBytes(record);
    },
    remove(record) {
      events--;
      bytes -= recordBytes(record);
    },
  };
}

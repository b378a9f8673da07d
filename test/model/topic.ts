/** What a producer wrote. */
export type Wish =
  /** `until`: an ISO date; null: for good. */
  | { kind: "phone"; phone: string; until: string | null }
  /** Can be read in one region only: another default region makes a rejected event of it. */
  | { kind: "national"; digits: string; phone: string }
  | { kind: "invalid" };

export interface LogRecord {
  offset: number;
  /** Null: a control record, or one of an aborted transaction. */
  wish: Wish | null;
  value: Buffer | null;
}

/** A partition's log, with its gaps, its retention and its two ends. */
export interface Log {
  readonly start: number;
  readonly end: number;
  /** Offset of the last one that hasn't expired; -1 if there is none. */
  readonly lastEvent: number;
  append(wish: Wish | null, gap: number): void;
  /** Deletes what is before `offset`. */
  expire(offset: number): void;
  /** What there is from `offset` on, at most so many. */
  read(offset: number, count: number): LogRecord[];
  /** Whether a range that begins here may be the rest of one whose beginning has expired. */
  isRest(first: number): boolean;
  /** Events of the range, whether they have expired or not. */
  events(first: number, last: number): (LogRecord & { wish: Wish })[];
}

const encoded = (wish: Wish): Buffer => {
  if (wish.kind === "invalid") return Buffer.from("{}");
  const phone = wish.kind === "phone" ? wish.phone : wish.digits;
  const expiresAt = wish.kind === "phone" && wish.until !== null ? { expiresAt: wish.until } : {};
  return Buffer.from(JSON.stringify({ phone, source: "web", ...expiresAt }));
};

export function createLog(first: number): Log {
  const records: LogRecord[] = [];
  let start = first;
  let end = first;
  const indexOf = (offset: number): number => {
    const index = records.findIndex((record) => record.offset >= offset);
    return index < 0 ? records.length : index;
  };
  const events = (from: number, to: number) =>
    records
      .slice(indexOf(from), indexOf(to + 1))
      .filter((record): record is LogRecord & { wish: Wish } => record.wish !== null);
  return {
    get start() {
      return start;
    },
    get end() {
      return end;
    },
    get lastEvent() {
      return records.findLast(({ offset, wish }) => wish !== null && offset >= start)?.offset ?? -1;
    },
    append(wish, gap) {
      const offset = end + gap;
      records.push({ offset, wish, value: wish === null ? null : encoded(wish) });
      end = offset + 1;
    },
    expire(offset) {
      start = Math.max(start, Math.min(offset, end));
    },
    read(offset, count) {
      const from = indexOf(Math.max(offset, start));
      return records.slice(from, from + count);
    },
    isRest: (offset) => start > first && events(start, offset - 1).length === 0,
    events,
  };
}

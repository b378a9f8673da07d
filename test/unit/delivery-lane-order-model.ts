import { type Batch, createBatchBuilder, type Entry, isSameWish } from "../../src/batching/batch.ts";
import { optOut, phoneOf, recordAt, SCOPE } from "./batching-arbitraries.ts";
import { deferred, ok, type Received, type Reply, takeAll } from "./delivery-lane-fixture.ts";

/** A phone's number, and the year that its opt-out ends in; null: never. */
type Wishes = Record<number, number | null>;

/** Offsets start at `first`. */
export const batchOf = (wishes: Wishes, { partition = 0, first = 0 } = {}): Batch => {
  const builder = createBatchBuilder({ ...SCOPE, partition });
  Object.entries(wishes).forEach(([phone, year], index) => {
    const expiresAt = year === null ? null : `${year}-01-01T00:00:00Z`;
    builder.add(recordAt(first + index), optOut({ phone: phoneOf(Number(phone)), expiresAt }));
  });
  return builder.build();
};

const entriesOf = ({ body }: Received): Entry[] => JSON.parse(body);

/** Without wishes that come to the same as the one before. */
export const compressed = (entries: readonly Entry[]): (string | null)[] =>
  entries
    .filter((entry, index) => {
      const before = entries[index - 1];
      return before === undefined || !isSameWish(before, entry);
    })
    .map(({ expirationDate }) => expirationDate ?? null);

export const FAULTS = ["ok", "ok", "ok", "500", "429", "401", "cut", "drop", "short"] as const;
type Fault = (typeof FAULTS)[number];

/**
 * An environment whose list holds the last word on each phone, and which remembers idempotency keys. What it takes, it takes
 * just before it answers, sooner or later; `next` says how late in milliseconds, and what goes wrong.
 */
export const createReplacing = (next: () => { latency: number; fault: Fault }, maxEntries: number) => {
  const applied = new Map<string, Entry[]>();
  const remembered = new Map<string, Reply>();
  const underWay = new Set<Received>();
  /** Phones that two requests were about at the same time, with different wishes. */
  const races: string[] = [];

  const apply = (entries: readonly Entry[]): void => {
    for (const entry of entries) applied.set(entry.phone, [...(applied.get(entry.phone) ?? []), entry]);
  };

  const answer = (received: Received, fault: Fault): Reply => {
    const entries = entriesOf(received);
    const known = remembered.get(received.key);
    if (known !== undefined) return known;
    if (fault === "cut") throw new Error("socket hang up");
    if (fault === "500" || fault === "429" || fault === "401") return { status: Number(fault) };
    if (entries.length > maxEntries) return { status: 413 };
    if (fault === "short") {
      apply(entries.slice(1));
      return ok(entries.length - 1);
    }
    apply(entries);
    remembered.set(received.key, takeAll(received));
    if (fault === "drop") throw new Error("socket hang up");
    return takeAll(received);
  };

  return {
    applied,
    races,
    async respond(received: Received): Promise<Reply> {
      const entries = entriesOf(received);
      for (const other of underWay) {
        const different = entriesOf(other).find((each) =>
          entries.some((entry) => entry.phone === each.phone && !isSameWish(entry, each)),
        );
        if (different !== undefined) races.push(different.phone);
      }
      const { latency, fault } = next();
      underWay.add(received);
      const { promise, resolve } = deferred<void>();
      setTimeout(resolve, latency);
      await promise;
      underWay.delete(received);
      return answer(received, fault);
    },
  };
};

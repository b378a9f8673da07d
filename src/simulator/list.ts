import type { Entry } from "./entries.ts";

/** A phone on the do-not-call list. */
export interface ListEntry {
  phone: string;
  type: Entry["type"];
  source: string;
  /** null: for good. */
  expirationDate: string | null;
  /** When the phone first came on the list, ISO 8601. */
  addedAt: string;
  /** The request that gave the entry its present form. */
  key: string;
  requestId: string;
  /** How many times the phone was taken. */
  count: number;
}

export interface DoNotCallList {
  /** Takes entries; returns how many were on the list already. */
  take(entries: readonly Entry[], request: { key: string; requestId: string }): number;
  all(): ListEntry[];
  readonly size: number;
}

const expiryOf = (expirationDate: string | null): number =>
  expirationDate === null ? Number.POSITIVE_INFINITY : Date.parse(expirationDate);

export const createList = (clock: () => number): DoNotCallList => {
  const byPhone = new Map<string, ListEntry>();

  return {
    take(entries, { key, requestId }) {
      const addedAt = new Date(clock()).toISOString();
      let duplicates = 0;
      for (const entry of entries) {
        const { phone, type, source } = entry;
        const expirationDate = entry.type === "dncl" ? null : entry.expirationDate;
        const present = byPhone.get(phone);
        if (present === undefined) {
          byPhone.set(phone, { phone, type, source, expirationDate, addedAt, key, requestId, count: 1 });
          continue;
        }
        duplicates += 1;
        present.count += 1;
        // A later, weaker request must never end an opt-out sooner.
        if (present.expirationDate !== null && expiryOf(expirationDate) > expiryOf(present.expirationDate)) {
          Object.assign(present, { type, source, expirationDate, key, requestId });
        }
      }
      return duplicates;
    },
    all: () => Array.from(byPhone.values(), (entry) => ({ ...entry })),
    get size() {
      return byPhone.size;
    },
  };
};

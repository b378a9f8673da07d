/** A phone on the do-not-call list. */
export interface ListEntry {
  phone: string;
  type: "dncl" | "dncl_expiration";
  /** null: the request had no such field. */
  source: string | null;
  /** null: for good. */
  expirationDate: string | null;
  /** When the phone first came on the list, ISO 8601. */
  addedAt: string;
  /** The request that gave the entry its present form. */
  key: string | null;
  requestId: string;
  /** Every group it was put in; none for a dialect without groups. */
  dncGroupIds: readonly number[];
  /** How many times the phone was taken. */
  count: number;
}

/** A phone to be put on the list. */
export interface Addition {
  phone: string;
  type: ListEntry["type"];
  source: string | null;
  expirationDate?: string;
}

/** Where additions come from. */
export interface Origin {
  key: string | null;
  requestId: string;
  dncGroupId?: number;
}

const NO_GROUPS: readonly number[] = [];

export interface DoNotCallList {
  /** Takes entries; returns how many were on the list already. `keep`: which entry stays if a phone comes again. */
  take(entries: readonly Addition[], origin: Origin, keep: "stronger" | "last"): number;
  find(phone: string): ListEntry | undefined;
  all(): ListEntry[];
  readonly size: number;
}

const expiryOf = (expirationDate: string | null): number =>
  expirationDate === null ? Number.POSITIVE_INFINITY : Date.parse(expirationDate);

export const createList = (clock: () => number): DoNotCallList => {
  const byPhone = new Map<string, ListEntry>();

  return {
    take(entries, { key, requestId, dncGroupId }, keep) {
      const addedAt = new Date(clock()).toISOString();
      const dncGroupIds = dncGroupId === undefined ? NO_GROUPS : [dncGroupId];
      let duplicates = 0;
      for (const { phone, type, source, expirationDate = null } of entries) {
        const form = { type, source, expirationDate, key, requestId };
        const present = byPhone.get(phone);
        if (present === undefined) {
          byPhone.set(phone, { phone, addedAt, ...form, dncGroupIds, count: 1 });
          continue;
        }
        duplicates += 1;
        present.count += 1;
        if (dncGroupId !== undefined && !present.dncGroupIds.includes(dncGroupId)) {
          present.dncGroupIds = [...present.dncGroupIds, dncGroupId];
        }
        // By the stronger one, a later, weaker request never ends an opt-out sooner.
        if (keep === "last" || expiryOf(expirationDate) > expiryOf(present.expirationDate)) {
          Object.assign(present, form);
        }
      }
      return duplicates;
    },
    find: (phone) => byPhone.get(phone),
    all: () => Array.from(byPhone.values(), (entry) => ({ ...entry })),
    get size() {
      return byPhone.size;
    },
  };
};

/** What is repeated, byte for byte, to a repeated key. */
export interface RememberedAnswer {
  status: number;
  body: string;
  requestId: string;
}

export type Claim =
  /** The caller holds the key until it calls one of the two. */
  | { kind: "fresh"; remember(answer: RememberedAnswer): void; release(): void }
  | { kind: "replay"; answer: RememberedAnswer }
  /** The same bytes are being processed. */
  | { kind: "in_progress" }
  /** The key belongs to other bytes. */
  | { kind: "reused" };

export interface KeyMemory {
  /** Notes which bytes came with a key, whatever the answer will be. */
  witness(key: string, sha256: string): void;
  claim(key: string, sha256: string): Claim;
  /** Keys ever seen with two different bodies. */
  violations(): string[];
}

interface KeyRecord {
  /** SHA-256 of the first body ever seen with the key, refused or not. */
  readonly firstSeen: string;
  /** The body that holds the key; `answer` is null while it is in progress. */
  holder: { sha256: string; answer: RememberedAnswer | null } | null;
}

/** Remembers the last `limit` keys. */
export const createKeyMemory = (limit: number): KeyMemory => {
  const records = new Map<string, KeyRecord>();
  const violations = new Set<string>();

  const recordOf = (key: string, sha256: string): KeyRecord => {
    const known = records.get(key);
    if (known !== undefined) return known;
    const record: KeyRecord = { firstSeen: sha256, holder: null };
    records.set(key, record);
    if (records.size > limit) {
      for (const oldest of records.keys()) {
        records.delete(oldest);
        break;
      }
    }
    return record;
  };

  return {
    witness(key, sha256) {
      const record = recordOf(key, sha256);
      if (record.firstSeen !== sha256 && violations.size < limit) violations.add(key);
    },

    claim(key, sha256) {
      const record = recordOf(key, sha256);
      if (record.holder === null) {
        const holder: KeyRecord["holder"] = { sha256, answer: null };
        record.holder = holder;
        return {
          kind: "fresh",
          remember: (answer) => {
            holder.answer = answer;
          },
          release: () => {
            record.holder = null;
          },
        };
      }
      if (record.holder.sha256 !== sha256) return { kind: "reused" };
      const { answer } = record.holder;
      return answer === null ? { kind: "in_progress" } : { kind: "replay", answer };
    },

    violations: () => [...violations],
  };
};

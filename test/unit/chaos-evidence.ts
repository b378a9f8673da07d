import { encodeLedger, type LedgerBatch } from "../../src/batching/ledger.ts";
import type { Split } from "../../src/batching/split.ts";
import type { StatusRecord } from "../../src/results/status.ts";
import { createBatches, type KeyRange } from "../chaos/batches.ts";
import type { Meaning } from "../chaos/events.ts";
import type {
  CommitEvidence,
  EventEvidence,
  Evidence,
  RequestEvidence,
  StatusEvidence,
} from "../chaos/evidence.ts";
import type { Region, Settings } from "../chaos/schedule.ts";
import { phoneOf } from "../support/scenario.ts";

/** A short and honest run, for the checks to find nothing in until somebody doctors it. */

export const TOPIC = "events";
export const ENVIRONMENTS = ["north", "south"];
/** Two batches; between them two offsets that nobody could read. */
export const FIRST: KeyRange = { partition: 0, first: 0, last: 3 };
export const SECOND: KeyRange = { partition: 0, first: 6, last: 8 };
/** The index of the event whose phone "south" refuses. */
const REFUSED = 8;

export const settingsOf = (change: Partial<Settings> = {}): Settings => ({
  maxEntries: 10,
  maxWait: 50,
  maxPendingEntries: 60,
  region: "US",
  environments: ENVIRONMENTS,
  ...change,
});

const meaningOf = (index: number): Meaning =>
  index === 2
    ? { reason: "undecodable" }
    : { wish: { phone: phoneOf(index), source: "web", expiresAt: null } };

export const events: EventEvidence[] = [0, 1, 2, 3, 6, 7, 8].map((offset) => {
  const meaning = meaningOf(offset);
  return {
    ...{
      partition: 0,
      offset,
      index: offset,
      key: Buffer.from("key"),
      value: Buffer.from(`value ${offset}`),
    },
    // The first one is a valid number in one region only.
    meaning: { US: meaning, GB: offset === 0 ? { reason: "invalid_phone" } : meaning },
  };
});

export const batches = createBatches({
  ...({ topic: TOPIC, clusterId: "cluster" } as Evidence),
  events: new Map([[0, events]]),
});

export const digestOf = (range: KeyRange, region: Region = "US"): number =>
  Number.parseInt(batches.whole(range, region).key.slice(-16, -13), 16);

/** What a ledger says of a batch. */
export const batchOf = (range: KeyRange, ...acknowledged: boolean[]): LedgerBatch => ({
  ...{ first: range.first, last: range.last, digest: digestOf(range), settled: false },
  acknowledged: ENVIRONMENTS.map((_, index) => acknowledged[index] === true),
  splits: ENVIRONMENTS.map(() => undefined),
});

export const splitBatch = (range: KeyRange, split: Split, ...acknowledged: boolean[]): LedgerBatch => ({
  ...batchOf(range, ...acknowledged),
  splits: [undefined, split],
});

export const commitOf = (at: number, offset: number, ...ledger: LedgerBatch[]): CommitEvidence => ({
  ...{ partition: 0, at, offset, ledger },
  metadata: encodeLedger(offset, ledger, ENVIRONMENTS),
});

type Sent = Partial<RequestEvidence> & Pick<RequestEvidence, "environment" | "at">;

export const requestOf = (range: KeyRange, sent: Sent, region: Region = "US"): RequestEvidence => {
  const { key, sha256 } = batches.whole(range, region);
  return { ...{ sender: "a", status: 201, applied: true, replayed: false, key, sha256 }, ...sent };
};

export const pieceOf = (batch: KeyRange, piece: KeyRange, sent: Sent): RequestEvidence => {
  const expected = batches.piece(batch, piece, "US");
  if (expected === undefined) throw new Error("no such piece");
  const { key, sha256 } = expected;
  return { ...requestOf(batch, sent), key, sha256 };
};

const statusOf = (at: number, range: KeyRange, event: EventEvidence): StatusEvidence => {
  const { offset } = event;
  const meaning = event.meaning.US;
  const isValid = "wish" in meaning;
  const isRefused = offset === REFUSED;
  const results = ENVIRONMENTS.map((name) => ({
    ...{ name, attempts: 1, httpStatus: 201, requestId: null, acknowledgedAt: null },
    outcome: isRefused && name === "south" ? ("rejected" as const) : ("accepted" as const),
  }));
  const status: StatusRecord = {
    statusId: `${TOPIC}:0:${offset}`,
    outcome: isValid ? (isRefused ? "partially_delivered" : "delivered") : "rejected",
    ...{ eventId: null, source: "web", detail: null, occurredAt: null },
    phone: isValid ? meaning.wish.phone : null,
    reason: isValid ? (isRefused ? "refused_by_environment" : null) : meaning.reason,
    idempotencyKey: isValid ? batches.whole(range, "US").key : null,
    origin: { topic: TOPIC, partition: 0, offset, timestamp: new Date(0).toISOString() },
    environments: isValid ? results : [],
    completedAt: new Date(at).toISOString(),
  };
  return { at, status };
};

const within = ({ first, last }: KeyRange): EventEvidence[] =>
  events.filter(({ offset }) => offset >= first && offset <= last);

const listOf = (name: string) =>
  events.flatMap(({ offset, meaning: { US } }) => {
    if (!("wish" in US) || (name === "south" && offset === REFUSED)) return [];
    const { phone, source } = US.wish;
    const addedAt = new Date(offset <= FIRST.last ? 1_100 : 5_000).toISOString();
    return [
      {
        ...{ phone, source, addedAt, type: "dncl" as const, expirationDate: null, key: null, requestId: "r" },
        ...{ dncGroupIds: [], count: 1 },
      },
    ];
  });

const letterOf = (offset: number, reason: string, environment: string | null) => ({
  ...{ partition: 0, offset, reason, environment },
  key: Buffer.from("key"),
  value: Buffer.from(`value ${offset}`),
});

const FIRST_PIECE: KeyRange = { partition: 0, first: 6, last: 7 };
const SECOND_PIECE: KeyRange = { partition: 0, first: 8, last: 8 };

/**
 * "a" takes the first batch to both environments, and the second to "north"; then it is stopped, and "b", which takes over,
 * splits the batch for "south", which refuses an entry.
 */
export function honestRun(): Evidence {
  const refused = { environment: "south", status: 422, applied: false };
  return {
    ...{ topic: TOPIC, clusterId: "cluster", environments: ENVIRONMENTS, lag: 10 },
    processes: [
      {
        name: "a",
        startedAt: 0,
        endedAt: 9_000,
        settings: settingsOf(),
        defect: null,
        frozen: [{ from: 3_500, to: 7_000 }],
        silent: [],
      },
      {
        name: "b",
        startedAt: 0,
        endedAt: 9_000,
        settings: settingsOf(),
        defect: null,
        frozen: [],
        silent: [],
      },
    ],
    events: new Map([[0, events]]),
    generations: [
      { at: 500, owners: new Map([[0, "a"]]) },
      { at: 4_000, owners: new Map([[0, "b"]]) },
    ],
    commits: new Map([
      [
        0,
        [
          commitOf(1_000, 0, batchOf(FIRST)),
          commitOf(1_500, 0, batchOf(FIRST, true, true)),
          commitOf(2_000, 6, batchOf(SECOND)),
          commitOf(3_000, 6, batchOf(SECOND, true)),
          commitOf(5_100, 6, splitBatch(SECOND, ["pending", "pending"], true)),
          commitOf(5_300, 6, splitBatch(SECOND, ["acknowledged", "pending"], true)),
          commitOf(5_900, 9),
        ],
      ],
    ]),
    requests: [
      requestOf(FIRST, { environment: "north", at: 1_010 }),
      requestOf(FIRST, { environment: "south", at: 1_020 }),
      requestOf(SECOND, { environment: "north", at: 2_010 }),
      requestOf(SECOND, { ...refused, at: 5_000, sender: "b" }),
      pieceOf(SECOND, FIRST_PIECE, { environment: "south", at: 5_150, sender: "b" }),
      pieceOf(SECOND, SECOND_PIECE, { ...refused, at: 5_200, sender: "b" }),
      // What was on its way when it was stopped.
      requestOf(SECOND, { ...refused, at: 7_005, sender: "a" }),
    ],
    statuses: [
      ...within(FIRST).map((event) => statusOf(1_800, FIRST, event)),
      ...within(SECOND).map((event) => statusOf(5_500, SECOND, event)),
    ],
    deadLetters: [letterOf(2, "undecodable", null), letterOf(REFUSED, "refused_by_environment", "south")],
    lists: new Map(ENVIRONMENTS.map((name) => [name, listOf(name)])),
    refused: new Map([["south", new Set([phoneOf(REFUSED)])]]),
    shortUntil: new Map(),
    pending: [{ process: "a", partition: 0, events: 7 }],
    unfinished: [],
    produced: new Set([0, 1, 2, 3, 6, 7, 8]),
    aborted: new Set([4]),
  };
}

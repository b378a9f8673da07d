import type { TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createBatchBuilder, ledgerDigest } from "../../src/batching/batch.ts";
import { decodeLedger, encodeLedger, type LedgerBatch } from "../../src/batching/ledger.ts";
import type { Delivery as LaneDelivery, PartOutcome } from "../../src/delivery/lane.ts";
import type { Decoded } from "../../src/events/event.ts";
import { createPartition, type Partition, type PartitionOptions } from "../../src/relay/partition.ts";
import type { SealedBatch } from "../../src/relay/sealed-batch.ts";
import { optOut, phoneOf, recordAt, rejected, SCOPE } from "./batching-arbitraries.ts";

export { optOut, phoneOf, recordAt, rejected, SCOPE };

export const ENVIRONMENTS = ["production", "us-west", "eu-central"];

/** Lets everything that only waits for promises go on. */
export const settled = (): Promise<void> => nextTurn();

export interface Delivery extends Pick<LaneDelivery, "onSplit" | "done"> {
  environment: number;
  sealed: SealedBatch;
}

export interface Publication {
  sealed: SealedBatch;
  resolve(): void;
}

export const part = (from: number, to: number, accepted = true): PartOutcome => ({
  from,
  to,
  accepted,
  httpStatus: accepted ? 201 : 422,
  requestId: `request-${from}-${to}`,
  detail: null,
  answeredAt: 1_700_000_000_000,
  attempts: 1,
});

/** The environment took the batch whole. */
export const taken = ({ batch }: SealedBatch): PartOutcome[] => [part(0, batch.entries.length)];

/** The environment refused its first entry. */
export const refused = ({ batch }: SealedBatch): PartOutcome[] => [
  part(0, 1, false),
  ...(batch.entries.length > 1 ? [part(1, batch.entries.length)] : []),
];

export interface StartOptions {
  base?: number;
  /** As it is in the commit's metadata. */
  metadata?: string;
  environments?: string[];
  limits?: Partial<PartitionOptions["limits"]>;
  /** Statuses are published at once. Default true. */
  publishes?: boolean;
}

/** A partition over a fake port and a fake clock. */
export interface Harness {
  readonly partition: Partition;
  /** Handed to a lane, in order; what was answered stays. */
  readonly deliveries: Delivery[];
  readonly publications: Publication[];
  /** `first-last trigger`, in order. */
  readonly seals: string[];
  /** Calls of `setPaused`, in order. */
  readonly pauses: boolean[];
  /** Commits asked for since the last look: true for an urgent one. */
  requests(): boolean[];
  offer(offset: number, decoded?: Decoded): boolean;
  /** Offers these offsets, each with a phone of its own. All must be taken. */
  offerAll(...offsets: number[]): void;
  /** Time passes, and timers that are due fire. */
  pass(milliseconds: number): void;
  /** Time passes while the process is too busy for its timers. */
  passBusily(milliseconds: number): void;
  /** Timers fire although the clock doesn't show it yet. */
  fireTimers(milliseconds: number): void;
  /** Commits what there is; answers offset and ledger, or undefined if there is nothing to commit. */
  commit(): { offset: number; metadata: string; ledger: LedgerBatch[] } | undefined;
  failCommit(): void;
  /** `environment first-last` of every delivery. */
  delivered(): string[];
  /** Answers what was delivered for this range and environment (all of them if left out). */
  answer(range: string, environment?: string, answer?: (sealed: SealedBatch) => PartOutcome[]): Promise<void>;
  /** Ranges published, in order. */
  published(): string[];
}

const rangeOf = ({ first, last }: { first: number; last: number }): string => `${first}-${last}`;

export function start(t: TestContext, options: StartOptions = {}): Harness {
  const { base = 0, metadata = "", environments = ENVIRONMENTS, publishes = true } = options;
  t.mock.timers.reset();
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const decoded = decodeLedger(base, metadata, environments);
  if (!decoded.ok) throw new Error(decoded.problem);
  let now = 50_000;
  let requests: boolean[] = [];
  const deliveries: Delivery[] = [];
  const publications: Publication[] = [];
  const seals: string[] = [];
  const pauses: boolean[] = [];
  const partition = createPartition({
    scope: SCOPE,
    environments,
    limits: {
      maxEntries: 3,
      maxWait: 1_000,
      maxBytes: 10_000,
      maxPendingEntries: 1_000,
      maxPendingBytes: 2 ** 25,
      ...options.limits,
    },
    base,
    ledger: decoded.batches,
    now: () => now,
    port: {
      requestCommit: (urgent) => requests.push(urgent),
      deliver: (environment, sealed, handlers) => deliveries.push({ environment, sealed, ...handlers }),
      publish: (sealed) =>
        new Promise((resolve) => {
          publications.push({ sealed, resolve });
          if (publishes) resolve();
        }),
      setPaused: (paused) => pauses.push(paused),
      onRecorded: () => {},
      onSealed: ({ batch }, trigger) => seals.push(`${rangeOf(batch)} ${trigger}`),
    },
  });
  t.after(() => partition.dispose());
  const offer = (offset: number, decoded?: Decoded): boolean =>
    partition.offer(recordAt(offset), decoded ?? optOut({ phone: phoneOf(offset) }));
  return {
    partition,
    deliveries,
    publications,
    seals,
    pauses,
    requests() {
      const taken = requests;
      requests = [];
      return taken;
    },
    offer,
    offerAll(...offsets) {
      for (const offset of offsets) if (!offer(offset)) throw new Error(`offset ${offset} wasn't taken`);
    },
    pass(milliseconds) {
      now += milliseconds;
      t.mock.timers.tick(milliseconds);
    },
    passBusily(milliseconds) {
      now += milliseconds;
    },
    fireTimers: (milliseconds) => t.mock.timers.tick(milliseconds),
    commit() {
      const snapshot = partition.snapshot();
      if (snapshot === undefined) return undefined;
      snapshot.onCommitted();
      const { offset, metadata } = snapshot;
      const read = decodeLedger(offset, metadata, environments);
      return { offset, metadata, ledger: read.ok ? read.batches : [] };
    },
    failCommit() {
      const snapshot = partition.snapshot();
      if (snapshot === undefined) throw new Error("nothing to commit");
      snapshot.onFailed();
    },
    delivered: () =>
      deliveries.map(({ environment, sealed }) => `${environments[environment]} ${rangeOf(sealed)}`),
    async answer(range, environment, answerOf = taken) {
      const asked = deliveries.filter(
        (each) =>
          rangeOf(each.sealed) === range &&
          (environment === undefined || environments[each.environment] === environment),
      );
      if (asked.length === 0)
        throw new Error(`${range} wasn't delivered to ${environment ?? "any environment"}`);
      for (const { sealed, done } of asked) done(answerOf(sealed));
      await settled();
    },
    published: () => publications.map(({ sealed }) => rangeOf(sealed)),
  };
}

export interface LedgerRow {
  range: readonly [first: number, last: number];
  acknowledgedBy?: string[];
  settled?: boolean;
  /** How its records are read. */
  decodedAt?: (offset: number) => Decoded;
}

/** Of the batch of a range; unless said otherwise, the one that `offerAll` makes. */
export function digestOf(
  [first, last]: readonly [first: number, last: number],
  decodedAt: (offset: number) => Decoded = (offset) => optOut({ phone: phoneOf(offset) }),
): number {
  const builder = createBatchBuilder(SCOPE);
  for (let offset = first; offset <= last; offset++) builder.add(recordAt(offset), decodedAt(offset));
  return ledgerDigest(builder.build());
}

/** The metadata of a commit that holds these batches. */
export const metadataOf = (base: number, rows: LedgerRow[], environments: string[] = ENVIRONMENTS): string =>
  encodeLedger(
    base,
    rows.map(({ range: [first, last], acknowledgedBy = [], settled: isSettled = false, decodedAt }) => ({
      first,
      last,
      digest: digestOf([first, last], decodedAt),
      settled: isSettled,
      acknowledged: environments.map((name) => isSettled || acknowledgedBy.includes(name)),
    })),
    environments,
  );

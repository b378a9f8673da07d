import type { LedgerBatch } from "../../src/batching/ledger.ts";
import type { StatusRecord } from "../../src/results/status.ts";
import type { ListEntry } from "../../src/simulator/index.ts";
import type { Meaning } from "./events.ts";
import type { Region, Settings } from "./schedule.ts";

/** Everything that the checks look at: what was seen from the outside, in milliseconds of the one clock there is. */
export interface Evidence {
  topic: string;
  clusterId: string;
  /** Every environment that any configuration had. */
  environments: readonly string[];
  /** How late the witnesses themselves may have been: requests are seen by a process that does other work too. */
  lag: number;
  processes: readonly ProcessEvidence[];
  /** What the group could read, by partition, in offset order: nothing of aborted transactions. */
  events: ReadonlyMap<number, readonly EventEvidence[]>;
  /** As they came in, of all environments. */
  requests: readonly RequestEvidence[];
  /** By partition, in the order of the offsets topic. */
  commits: ReadonlyMap<number, readonly CommitEvidence[]>;
  /** Of the consumer group, in order. */
  generations: readonly Generation[];
  statuses: readonly StatusEvidence[];
  deadLetters: readonly DeadLetterEvidence[];
  lists: ReadonlyMap<string, readonly ListEntry[]>;
  /** By environment, the phones that it refuses from the beginning to the end. */
  refused: ReadonlyMap<string, ReadonlySet<string>>;
  /** By environment: until when it took batches in part, if it ever did. */
  shortUntil: ReadonlyMap<string, number>;
  /** What relays said of themselves. */
  pending: readonly PendingSample[];
  /** What was waited for in vain in the end. */
  unfinished: readonly { invariant: Invariant; what: string }[];
  /** Indices of events that the producer was told are safe, and of those in aborted transactions. */
  produced: ReadonlySet<number>;
  aborted: ReadonlySet<number>;
}

export interface ProcessEvidence {
  /** Tells its requests and its membership from those of the others. */
  name: string;
  settings: Settings;
  startedAt: number;
  endedAt: number;
  /** From SIGSTOP to SIGCONT. */
  frozen: readonly { from: number; to: number }[];
  /** When it didn't answer: the machine may have had it stopped. */
  silent: readonly { from: number; to: number }[];
  /** It ended by itself, and not for want of its brokers or registry. */
  defect: string | null;
}

export interface EventEvidence {
  partition: number;
  offset: number;
  index: number;
  key: Buffer | null;
  value: Buffer | null;
  meaning: Readonly<Record<Region, Meaning>>;
}

export interface RequestEvidence {
  environment: string;
  /** Of the process; null if that can't be told on this system. */
  sender: string | null;
  at: number;
  key: string;
  /** Null where the body was not received. */
  sha256: string | null;
  /** 0: cut. Null: not answered. */
  status: number | null;
  applied: boolean;
  replayed: boolean;
}

export interface CommitEvidence {
  partition: number;
  at: number;
  offset: number;
  metadata: string;
  /** Null if the metadata can't be read. Flags in the order of `environments`. */
  ledger: readonly LedgerBatch[] | null;
}

export interface Generation {
  at: number;
  /** By partition, the process that owns it. */
  owners: ReadonlyMap<number, string>;
}

export interface StatusEvidence {
  /** When the broker had it. */
  at: number;
  status: StatusRecord;
}

export interface DeadLetterEvidence {
  partition: number;
  offset: number;
  reason: string;
  environment: string | null;
  key: Buffer | null;
  value: Buffer | null;
}

export interface PendingSample {
  process: string;
  partition: number;
  events: number;
}

/** A number of docs/architecture.md; 0: something that no invariant names, as a process that ends by itself. */
export type Invariant = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

export interface Violation {
  invariant: Invariant;
  /** What happened to what. Never with a phone number: events are named by partition and offset. */
  what: string;
}

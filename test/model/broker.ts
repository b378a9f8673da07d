import type { Commit } from "../../src/kafka/committed.ts";
import { createGroup, type Group } from "./group.ts";
import { createLog, type Log } from "./topic.ts";
import type { Outcome } from "./wire.ts";

export const EVENTS = "opt-out-events";
export const GROUP_ID = "optout-relay";

/** A commit that the group coordinator took. */
export interface Committed {
  /** Whose process it came from. */
  process: number;
  memberId: string;
  partition: number;
  offset: number;
  /** Null: kafkajs' own, which it makes when records have expired. */
  metadata: string | null;
}

export interface FetchedPartition {
  partition: number;
  errorCode: number;
  highWatermark: string;
  abortedTransactions: [];
  messages: object[];
}

/** Kafka as all processes see it: a topic of events, a group coordinator, and the group's commits. */
export interface Kafka {
  readonly logs: readonly Log[];
  readonly group: Group;
  readonly commits: ReadonlyMap<number, Commit>;
  commit(commit: Committed): void;
  /** Answers at once if there is something to read, else when there is, or after `maxWait` milliseconds. */
  fetch(
    asked: readonly { partition: number; offset: number }[],
    maxWait: number,
    answer: (outcome: Outcome<FetchedPartition[]>) => void,
  ): void;
  /** Time has passed. */
  tick(): void;
  /** There may be something to read, or nothing any more. */
  changed(): void;
  /** When the next one of its own deadlines is. */
  due(): number;
}

export interface KafkaOptions {
  partitions: number;
  firstOffset: number;
  now(): number;
  random(): number;
  onCommit(commit: Committed, before: Commit | undefined): void;
  outOfRange(partition: number): Error;
}

const MAX_RECORDS_PER_FETCH = 6;

export function createBrokers(options: KafkaOptions): Kafka {
  const { now, random } = options;
  const logs = Array.from({ length: options.partitions }, () => createLog(options.firstOffset));
  const commits = new Map<number, Commit>();
  const group = createGroup(now);
  let waiting: { until: number; tryAgain(isLate: boolean): boolean }[] = [];

  const messagesOf = (log: Log, offset: number): object[] =>
    log.read(offset, 1 + Math.floor(random() * MAX_RECORDS_PER_FETCH)).map((record) => ({
      offset: String(record.offset),
      timestamp: "1800000000000",
      key: null,
      value: record.value,
      headers: {},
      isControlRecord: record.wish === null,
    }));

  const fetched = (asked: readonly { partition: number; offset: number }[]): Outcome<FetchedPartition[]> => {
    const answers: FetchedPartition[] = [];
    for (const { partition, offset } of asked) {
      const log = logs[partition];
      if (log === undefined || offset < log.start || offset > log.end) {
        return { error: options.outOfRange(partition) };
      }
      const messages = messagesOf(log, offset);
      answers.push({
        ...{ partition, errorCode: 0, highWatermark: String(log.end) },
        ...{ abortedTransactions: [], messages },
      });
    }
    return { value: answers };
  };

  const tryAll = (): void => {
    waiting = waiting.filter(({ until, tryAgain }) => !tryAgain(now() >= until));
  };

  return {
    logs,
    group,
    commits,
    commit(commit) {
      const before = commits.get(commit.partition);
      commits.set(commit.partition, { offset: commit.offset, metadata: commit.metadata });
      options.onCommit(commit, before);
    },
    fetch(asked, maxWait, answer) {
      const tryAgain = (isLate: boolean): boolean => {
        const outcome = fetched(asked);
        if (!isLate && "value" in outcome && outcome.value.every(({ messages }) => messages.length === 0)) {
          return false;
        }
        answer(outcome);
        return true;
      };
      if (!tryAgain(false)) waiting.push({ until: now() + maxWait, tryAgain });
    },
    tick() {
      group.tick();
      if (waiting.some(({ until }) => now() >= until)) tryAll();
    },
    changed: tryAll,
    due: () => Math.min(Number.POSITIVE_INFINITY, ...waiting.map(({ until }) => until)),
  };
}

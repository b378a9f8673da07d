import type { Entry } from "../../src/batching/batch.ts";
import type { Commit } from "../../src/kafka/committed.ts";
import type { Committed } from "./broker.ts";
import { createCommitJudge } from "./judge-commits.ts";
import { createProgressJudge } from "./judge-progress.ts";
import { createRequestJudge, type Sent } from "./judge-requests.ts";
import { createStatusJudge } from "./judge-statuses.ts";
import { createSeen, type JudgeOptions } from "./seen.ts";
import { type Answer, createWords } from "./words.ts";

/**
 * Holds what is seen from outside against the invariants: the commits that the coordinator took, the requests that processes
 * send, what environments take, and the statuses that are published. What it knows is one word for each event: where it is cut,
 * where it was taken, and what was published of it.
 */
export interface Judge {
  /** What was seen that must not be; the first is the one to look at. */
  readonly violations: readonly string[];
  say(violation: string): void;
  onCommit(commit: Committed, before: Commit | undefined): void;
  onSend(sent: Sent): void;
  onApplied(environment: string, key: string, entries: readonly Entry[], isWhole: boolean): void;
  onAnswer(answer: Answer): void;
  onStatus(process: number, value: Buffer): void;
  /** A process ends in order: it says that everything it knows is committed. */
  onDrained(epoch: object): void;
  /** What the others could have while this environment is out, and haven't; undefined if that is nothing. */
  lacks(outage: string): string | undefined;
  /** Everything was delivered, as it seems. */
  atEnd(): void;
}

export function createJudge(options: JudgeOptions): Judge {
  const seen = createSeen(options);
  const words = createWords();
  const { isRecorded, lacks, atEnd } = createProgressJudge(options, seen);
  let answers: Answer[] = [];

  return {
    violations: seen.violations,
    say: seen.say,
    onCommit: createCommitJudge(options, seen),
    ...createRequestJudge(options, seen, words),
    onStatus: createStatusJudge(options, seen),
    onAnswer(answer) {
      words.add(answer);
      answers.push(answer);
    },
    onDrained(epoch) {
      for (const answer of answers) if (answer.epoch === epoch) isRecorded(answer);
      answers = answers.filter((answer) => answer.epoch !== epoch);
    },
    lacks,
    atEnd,
  };
}

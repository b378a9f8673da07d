import type { BenchProcess, Line } from "../process.ts";

/** What every contender is given: the same topic, the same environments. */
export interface Task {
  brokers: string[];
  topic: string;
  groupId: string;
  clientId: string;
  sessionTimeoutMs: number;
  /** Most entries in a request. */
  batch: number;
  /** How long an event may wait for others, where the contender knows of that. */
  maxWaitMs: number;
  /** For a contender that works on one batch at a time in each: how many consumers it shall have. */
  consumers: number;
  /** Of all environments, each the base URL of the compliance API. */
  environments: string[];
  events: number;
}

export interface Contender {
  /** On the command line and in the results. */
  name: string;
  /** In the tables. */
  title: string;
  /** Topics of its own, to be made before and removed after: it is done only when each has a record for every event. */
  outputs?(task: Task): string[];
  /** Once, before any run: builds what has to be built. */
  prepare?(): Promise<void>;
  start(task: Task): Promise<BenchProcess>;
  /** When this line of its output says that it has been given partitions, in milliseconds since the epoch. */
  assignedAt(line: Line): number | undefined;
  /** It lets an event wait up to `maxWaitMs` for others; who doesn't sends what there is. */
  waits?: boolean;
  /** A part of the work, which commits nothing. */
  isBound?: boolean;
  /** It has no environments, and says itself when it is done. */
  says?: boolean;
}

/** What the bench's own programs print: `{"assigned": …}`, and if they have no environments `{"done": …}`. */
export const assignedAt = ({ assigned }: Line): number | undefined =>
  typeof assigned === "number" ? assigned : undefined;

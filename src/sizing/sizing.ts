import { bodyOf } from "../batching/batch.ts";
import { ledgerUsedRatio } from "../batching/ledger.ts";
import type { BatchingConfig } from "../config/schema.ts";
import { pendingBytesOfEach, RECORD_OVERHEAD_BYTES } from "../relay/room.ts";

export interface SizedEnvironment {
  name: string;
  /** The quota, over all replicas. */
  requestsPerSecond: number;
  /** Most entries that its API takes in one request. */
  maxEntries: number;
}

/** Events count as valid, each of another phone, and spread evenly over the partitions. */
export interface Plan {
  batching: Pick<BatchingConfig, "maxEntries" | "maxWait" | "maxBytes" | "maxPendingEntries">;
  environments: readonly SizedEnvironment[];
  eventsPerSecond: number;
  partitions: number;
  replicas: number;
  /** Key, value and headers of a record. */
  eventBytes: number;
  /** Of an environment; for how long, the catching up after it is worked out. */
  outageSeconds: number;
}

export interface EnvironmentSize {
  name: string;
  quota: number;
  /** Requests per second that the load takes while nothing waits. */
  requestsPerSecond: number;
  /**
   * - `enough`: the quota is.
   * - `late`: full batches would fit into the quota, but those cut by time don't. They queue until the partitions pause, and
   *   only then do batches grow: everything arrives, this much later.
   * - `behind`: not even full batches fit.
   */
  verdict: "enough" | "late" | "behind";
  /** Seconds in the queue, in the long run: 0 if the quota is enough, null if it grows without end. */
  queueSeconds: number | null;
  /** Seconds at most from the outage's end until nothing is late any more; null: never. */
  catchUpSeconds: number | null;
}

export interface Size {
  environments: EnvironmentSize[];
  batch: { entries: number; waitSeconds: number };
  partition: {
    eventsPerSecond: number;
    /** Unsettled batches that its ledger holds. */
    ledgerBatches: number;
    /** Events that may be unsettled, and what bounds them. */
    pendingEvents: number;
    bound: "maxPendingEntries" | "128 MiB" | "ledger";
    /** For so long may an environment be out before the others wait, too. */
    aheadSeconds: number;
  };
  /** The one that owns the most partitions. */
  replica: { partitions: number; quotaShare: number; pendingBytes: number };
}

/** How many batches of so many events, without gaps between them, a ledger holds. */
export function ledgerCapacity(eventsPerBatch: number, environmentCount: number): number {
  const spans: { first: number; last: number }[] = [];
  for (let first = 0; ledgerUsedRatio(0, spans, environmentCount) <= 1; first += eventsPerBatch) {
    spans.push({ first, last: first + eventsPerBatch - 1 });
  }
  return spans.length - 1;
}

/** As most are. */
const ENTRY_BYTES = bodyOf([{ phone: "+12125550123", type: "dncl", source: "web" }]).length - 1;

const requestsFor = (entries: number, { maxEntries }: SizedEnvironment): number =>
  Math.max(1, Math.ceil(entries / maxEntries));

/** What a batch that isn't settled takes besides its events, as measured: its own objects, and those of each lane. */
const batchBytes = (environmentCount: number): number => 1_400 + 700 * environmentCount;

/** Entries at which a batch is cut, however young it is. */
const fullBatch = ({ maxEntries, maxBytes }: Plan["batching"]): number =>
  Math.max(1, Math.min(maxEntries, Math.floor((maxBytes - 1) / ENTRY_BYTES)));

export function sizeOf(plan: Plan): Size {
  const { batching, environments, partitions, eventBytes } = plan;
  const eventsPerSecond = plan.eventsPerSecond / partitions;
  const maxWait = batching.maxWait / 1_000;
  const full = fullBatch(batching);
  // The clock of a batch starts with its first event.
  const entries = Math.min(full, 1 + eventsPerSecond * maxWait);
  const owned = Math.ceil(partitions / plan.replicas);
  const ledgerBatches = ledgerCapacity(Math.ceil(entries), environments.length);
  const bounds = {
    maxPendingEntries: batching.maxPendingEntries,
    "128 MiB": Math.floor(pendingBytesOfEach(owned) / (RECORD_OVERHEAD_BYTES + eventBytes)),
    ledger: Math.floor(ledgerBatches * entries),
  };
  const room = Math.min(bounds.maxPendingEntries, bounds["128 MiB"]);
  const pendingEvents = Math.min(room, bounds.ledger);
  const bound =
    pendingEvents === bounds.ledger ? "ledger" : room === bounds["128 MiB"] ? "128 MiB" : "maxPendingEntries";
  const aheadSeconds = pendingEvents / eventsPerSecond;

  const environmentSize = (environment: SizedEnvironment): EnvironmentSize => {
    const { name, requestsPerSecond: quota } = environment;
    const rateWith = (batch: number) => (plan.eventsPerSecond / batch) * requestsFor(batch, environment);
    const rate = rateWith(entries);
    const verdict = rate <= quota ? "enough" : rateWith(full) <= quota ? "late" : "behind";
    const queued = Math.min(room / eventsPerSecond, (ledgerBatches * partitions) / quota);
    // What the partitions still take during an outage is cut as ever; the rest waits in Kafka, and is cut into full batches.
    const taken = Math.min(plan.outageSeconds, aheadSeconds);
    const backlog = rate * taken + rateWith(full) * (plan.outageSeconds - taken);
    return {
      ...{ name, quota, verdict, requestsPerSecond: rate },
      queueSeconds: verdict === "behind" ? null : verdict === "late" ? queued : 0,
      catchUpSeconds: rate < quota ? backlog / (quota - rate) : null,
    };
  };

  // After a pause batches are full, whatever the load: what is pending then may be more than now.
  const mostEvents = Math.min(room, ledgerCapacity(full, environments.length) * full);
  const mostBytes =
    mostEvents * (RECORD_OVERHEAD_BYTES + eventBytes) + ledgerBatches * batchBytes(environments.length);
  return {
    environments: environments.map(environmentSize),
    batch: { entries, waitSeconds: Math.min(maxWait, (full - 1) / eventsPerSecond) },
    partition: { eventsPerSecond, ledgerBatches, pendingEvents, bound, aheadSeconds },
    replica: {
      partitions: owned,
      quotaShare: owned / partitions,
      pendingBytes: owned * mostBytes,
    },
  };
}

/** Steady loads, in events per second, under which the verdict on an environment is `late`. */
export interface LateLoads {
  name: string;
  quota: number;
  from: number;
  to: number;
  /** With the least of them; with more it is less. */
  queueSeconds: number;
}

/** Requests per second, at most, while batches are cut by time. */
export const requestsByTime = ({ batching, partitions }: Pick<Plan, "batching" | "partitions">): number =>
  (1_000 * partitions) / batching.maxWait;

/** Of the environments for which there are such loads. */
export function lateLoads(plan: Omit<Plan, "eventsPerSecond">): LateLoads[] {
  const full = fullBatch(plan.batching);
  const byTime = requestsByTime(plan);
  return plan.environments.flatMap((environment, index) => {
    const { name, requestsPerSecond: quota } = environment;
    const entries = full / requestsFor(full, environment);
    if (quota >= byTime * (1 - 1 / entries)) return [];
    // So that `from / (1 + from × maxWait / partitions)` requests are the quota, and at `to` those of full batches are.
    const [from, to] = [quota / (1 - quota / byTime), quota * entries];
    const size = sizeOf({ ...plan, eventsPerSecond: from + (to - from) / 100 }).environments[index];
    return [{ name, quota, from, to, queueSeconds: size?.queueSeconds ?? 0 }];
  });
}

import { rfc3339 } from "../events/timestamp.ts";
import { highWatermarks } from "../kafka/topic-reader.ts";
import { requireTopics, withAdmin } from "../kafka/topics.ts";
import type { Redriven } from "../redrive/headers.ts";
import { CLOCK_SKEW_MS } from "../redrive/plan.ts";
import type { EnvironmentResult, StatusRecord } from "../results/status.ts";
import type { InspectContext } from "./context.ts";
import { readableBounds, readLedgers } from "./ledgers.ts";
import { type PendingEvent, type PendingRead, readPending } from "./pending.ts";
import { createSchemas } from "./schemas.ts";
import {
  type FoundStatus,
  identityOf,
  readStatuses,
  type StatusesRead,
  type StatusQuery,
} from "./statuses.ts";
import { type BehindTransaction, behindTransactions } from "./transactions.ts";

/** What `optout-relay trace --json` prints. */
export interface Trace {
  /** E.164. */
  phone: string;
  /** The opt-outs of this phone, the oldest first. */
  events: TracedEvent[];
  /** Those of the configuration, then any others that answered. */
  environments: EnvironmentSummary[];
  /** What was read to know this. */
  read: {
    status: Omit<StatusesRead, "statuses"> & {
      topic: string;
      partitionsInAll: number;
      since: string | null;
    } & Unseen;
    pending: Omit<PendingRead, "events"> & { topic: string } & Unseen;
    /** Why not all could be read; null if it could. */
    problem: string | null;
  };
}

interface Unseen {
  /** Partitions where there are records that can't be read yet. */
  behindTransaction: BehindTransaction[];
}

export interface TracedEvent
  extends Omit<StatusRecord, "phone" | "outcome" | "completedAt" | "environments"> {
  /**
   * `settled`: final, and told by the status topic. `sealed`: in a batch of the ledger. `waiting`: in no batch yet, or in
   * one that isn't in the ledger yet. In the last two what an environment answered is known from the ledger alone.
   */
  state: "settled" | "sealed" | "waiting";
  /** Null until it is settled. */
  outcome: StatusRecord["outcome"] | null;
  completedAt: string | null;
  environments: TracedEnvironment[];
  /** Null unless it is a rejected event that was sent again. */
  redriven: Redriven | null;
}

/** `unknown`: it has answered, but the status record that says what isn't found; or its batch couldn't be read. */
export interface TracedEnvironment extends Omit<EnvironmentResult, "outcome"> {
  outcome: EnvironmentResult["outcome"] | "pending" | "unknown";
}

export interface EnvironmentSummary {
  name: string;
  /** Number of this phone's opt-outs, by what became of them there. */
  accepted: number;
  rejected: number;
  pending: number;
  unknown: number;
  /** When it is known to have accepted the first: acknowledgedAt, else completedAt. RFC 3339. */
  acceptedBy: string | null;
}

export interface TraceQuery extends Omit<StatusQuery, "partitions" | "anyway"> {}

/** All that is known of a phone. Rejects with an explained OptoutError. */
export async function trace(query: TraceQuery, context: InspectContext): Promise<Trace> {
  const { kafka, config } = context;
  const { brokers } = config.kafka;
  const names = config.environments.map(({ name }) => name);
  const schemas = createSchemas(config, context.registryPatience);
  try {
    return await withAdmin(kafka, brokers, async (admin) => {
      const topics = await requireTopics(admin, config, ["events", "status"]);
      const partitionsInAll = topics.get("status")?.partitions ?? 1;
      // In this order: what is settled meanwhile is seen twice, and nothing is missed.
      const ledgers = await readLedgers({ admin, kafka }, config);
      const pending = await readPending(query.phone, { admin, ledgers, schemas }, context);
      const anyway = sealedOf(pending.events, config.topics.events);
      const highs = await highWatermarks({ kafka, brokers, topic: config.topics.status });
      const statuses = await readStatuses(
        { ...query, partitions: partitionsInAll, anyway },
        schemas,
        context,
      );
      const bounds = await readableBounds(admin, config.topics.status, highs);
      const events = eventsOf(statuses.statuses, pending.events, { topic: config.topics.events, names });
      return {
        phone: query.phone,
        events,
        environments: summaries(events, names),
        read: {
          status: {
            topic: config.topics.status,
            partitions: statuses.partitions,
            partitionsInAll,
            because: statuses.because,
            since: isoOf(query.since ?? Number.NaN),
            records: statuses.records,
            unreadable: statuses.unreadable,
            behindTransaction: behindTransactions(
              bounds.filter(({ partition }) => statuses.partitions.includes(partition)),
            ),
          },
          pending: {
            topic: config.topics.events,
            records: pending.records,
            withoutPhone: pending.withoutPhone,
            withoutSchema: pending.withoutSchema,
            behindTransaction: behindTransactions(ledgers),
          },
          problem: schemas.failure?.message ?? null,
        },
      };
    });
  } finally {
    schemas.close();
  }
}

/**
 * A batch that is stuck keeps settled ones behind it pending, for any time: their statuses may be older than what else is
 * asked for, but not older than their events.
 */
export function sealedOf(pending: readonly PendingEvent[], topic: string): StatusQuery["anyway"] {
  const sealed = pending.filter(({ batch }) => batch !== null);
  return {
    statusIds: new Set(sealed.map(({ partition, offset }) => `${topic}:${partition}:${offset}`)),
    from: sealed.reduce(
      (first, { timestamp }) => Math.min(first, timestamp - CLOCK_SKEW_MS),
      Number.POSITIVE_INFINITY,
    ),
  };
}

/** RFC 3339; null for a number that is no time, which Kafka takes nevertheless. */
const isoOf = (milliseconds: number): string | null => {
  const date = new Date(milliseconds);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
};

/** Pure. A settled event that is still behind the committed offset is told by its status. */
export function eventsOf(
  statuses: readonly FoundStatus[],
  pending: readonly PendingEvent[],
  { topic, names }: { topic: string; names: readonly string[] },
): TracedEvent[] {
  const known = new Set(statuses.map(identityOf));
  const settled = statuses.map(({ phone, ...status }): TracedEvent => ({ ...status, state: "settled" }));
  const open = pending.map((each) => pendingEvent(each, topic, names));
  return [...settled, ...open.filter((event) => !known.has(identityOf(event)))].sort(byAge);
}

const byAge = ({ origin: a }: TracedEvent, { origin: b }: TracedEvent): number =>
  Date.parse(a.timestamp) - Date.parse(b.timestamp) || a.partition - b.partition || a.offset - b.offset;

function pendingEvent(
  { partition, offset, timestamp, event, redriven, batch }: PendingEvent,
  topic: string,
  names: readonly string[],
): TracedEvent {
  const outcomeAt = (index: number): TracedEnvironment["outcome"] => {
    if (batch?.settled) return "unknown";
    const hasIt = batch?.acknowledged[index];
    return hasIt === null ? "unknown" : hasIt ? "accepted" : "pending";
  };
  return {
    statusId: `${topic}:${partition}:${offset}`,
    state: batch === null ? "waiting" : "sealed",
    outcome: null,
    eventId: event.eventId,
    source: event.source,
    reason: null,
    detail: null,
    idempotencyKey: batch?.key ?? null,
    origin: { topic, partition, offset, timestamp: rfc3339(timestamp) },
    occurredAt: event.occurredAt,
    completedAt: null,
    environments: names.map((name, index) => ({
      ...{ name, outcome: outcomeAt(index) },
      ...{ attempts: null, httpStatus: null, requestId: null, acknowledgedAt: null },
    })),
    redriven,
  };
}

/** Pure. @param configured names, which come first */
export function summaries(
  events: readonly TracedEvent[],
  configured: readonly string[],
): EnvironmentSummary[] {
  const answered = events.flatMap(({ environments }) => environments.map(({ name }) => name));
  return [...new Set([...configured, ...answered])].map((name) => {
    const results = events.flatMap((event) => {
      const result = event.environments.find((each) => each.name === name);
      return result === undefined
        ? []
        : [{ outcome: result.outcome, at: result.acknowledgedAt ?? event.completedAt }];
    });
    const countOf = (wanted: TracedEnvironment["outcome"]): number =>
      results.filter(({ outcome }) => outcome === wanted).length;
    const times = results.flatMap(({ outcome, at }) => (outcome === "accepted" && at !== null ? [at] : []));
    return {
      name,
      accepted: countOf("accepted"),
      rejected: countOf("rejected"),
      pending: countOf("pending"),
      unknown: countOf("unknown"),
      acceptedBy: times.sort((a, b) => Date.parse(a) - Date.parse(b))[0] ?? null,
    };
  });
}

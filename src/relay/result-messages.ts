import { createHash } from "node:crypto";
import type { SpanContext } from "@opentelemetry/api";
import type { BatchEvent } from "../batching/batch.ts";
import type { EntryRange } from "../batching/split.ts";
import type { PartOutcome } from "../delivery/lane.ts";
import { isEmpty } from "../events/headers.ts";
import { rfc3339 } from "../events/timestamp.ts";
import { readTraceContext, traceHeaders } from "../observability/tracing.ts";
import { readRedriven, writeRedriven } from "../redrive/headers.ts";
import { deadLetterMessage } from "../results/dead-letter.ts";
import type { EnvironmentResult, StatusEncoder, StatusRecord } from "../results/status.ts";
import type { OutgoingMessage } from "./publisher.ts";
import type { SealedBatch } from "./sealed-batch.ts";

export interface ResultContext {
  topics: { events: string; status: string; deadLetter: string };
  environments: readonly string[];
  encoder: StatusEncoder;
}

export type EventOutcome = StatusRecord["outcome"];

export interface BatchResults {
  /** Of the events that weren't delivered everywhere, or of all if so asked, in order. */
  statuses: StatusRecord[];
  messages: OutgoingMessage[];
  outcomes: Record<EventOutcome, number>;
  rejections: Map<string, number>;
  /** When each event was asked for, by outcome `delivered`; milliseconds since the epoch. */
  deliveredAskedAt: number[];
  /** When the last environment answered; milliseconds since the epoch. */
  answeredAt: number;
}

const MAX_KEY_BYTES = 1_024;
/** An event's key for its status: a huge one would make the status too large to be published. */
const boundedKey = (key: Buffer | null): Buffer | string | null =>
  key === null || key.length <= MAX_KEY_BYTES ? key : createHash("sha256").update(key).digest("hex");

/** What was answered for an entry; undefined if only the ledger knows, which keeps no details. */
const partWith = (outcome: SealedBatch["outcomes"][number], entry: number): PartOutcome | undefined =>
  Array.isArray(outcome)
    ? (outcome as readonly PartOutcome[]).find(({ from, to }) => entry >= from && entry < to)
    : undefined;

function environmentResult(name: string, part: PartOutcome | undefined): EnvironmentResult {
  if (part === undefined) {
    return {
      name,
      outcome: "accepted",
      attempts: null,
      httpStatus: null,
      requestId: null,
      acknowledgedAt: null,
    };
  }
  return {
    name,
    outcome: part.accepted ? "accepted" : "rejected",
    attempts: part.attempts,
    httpStatus: part.httpStatus,
    requestId: part.requestId,
    acknowledgedAt: part.accepted ? rfc3339(part.answeredAt) : null,
  };
}

function outcomeOf(environments: readonly EnvironmentResult[]): EventOutcome {
  const rejected = environments.filter(({ outcome }) => outcome === "rejected").length;
  if (rejected === 0) return "delivered";
  return rejected === environments.length ? "rejected" : "partially_delivered";
}

/** In words, which environments refused an entry, and why. */
function refusalDetail(names: readonly string[], parts: readonly (PartOutcome | undefined)[]): string {
  const refusals = parts.flatMap((part, index) => {
    if (part === undefined || part.accepted) return [];
    const status = part.httpStatus === null ? [] : [`HTTP ${part.httpStatus}`];
    const why = [...status, ...(part.detail === null ? [] : [part.detail])].join(": ");
    return [`${names[index]}${why && ` (${why})`}`];
  });
  return `refused by ${refusals.join(", ")}`;
}

/** What the environments made of entries. */
interface Verdict extends EntryRange {
  environments: EnvironmentResult[];
  outcome: EventOutcome;
  detail: string | null;
}

const WHOLE: EntryRange = { from: 0, to: Number.POSITIVE_INFINITY };
const only = (entry: number): EntryRange => ({ from: entry, to: entry + 1 });

/** Entries of one part share their verdict, mostly all of a batch, so it is made anew only where it changes. */
function createVerdicts({ outcomes }: SealedBatch, names: readonly string[]): (entry: number) => Verdict {
  let last: Verdict | undefined;
  const verdictOf = (entry: number): Verdict => {
    const parts = names.map((_, index) => partWith(outcomes[index], entry));
    const environments = names.map((name, index) => environmentResult(name, parts[index]));
    const outcome = outcomeOf(environments);
    const ranges = parts.map((part, index) => part ?? (outcomes[index] === "earlier" ? WHOLE : only(entry)));
    return {
      ...{ environments, outcome },
      detail: outcome === "delivered" ? null : refusalDetail(names, parts),
      from: Math.max(...ranges.map(({ from }) => from)),
      to: Math.min(...ranges.map(({ to }) => to)),
    };
  };
  return (entry) => {
    if (last === undefined || entry < last.from || entry >= last.to) last = verdictOf(entry);
    return last;
  };
}

/** What the statuses of a batch have in common. */
interface StatusContext {
  sealed: SealedBatch;
  topic: string;
  verdictOf(entry: number): Verdict;
  /** RFC 3339. */
  completedAt: string;
  timeOf(milliseconds: number): string;
}

/** `rfc3339`, which takes a while; neighbours often have the same time. */
function createTimes(): (milliseconds: number) => string {
  let last: number | undefined;
  let text = "";
  return (milliseconds) => {
    if (milliseconds !== last) [last, text] = [milliseconds, rfc3339(milliseconds)];
    return text;
  };
}

function statusOf(
  event: BatchEvent,
  { sealed, topic, verdictOf, completedAt, timeOf }: StatusContext,
): StatusRecord {
  const { decoded, record, entry } = event;
  const { partition } = sealed.batch;
  const statusId = `${topic}:${partition}:${record.offset}`;
  const origin = { topic, partition, offset: record.offset, timestamp: timeOf(record.timestamp) };
  if (!decoded.ok) {
    const { reason, detail, eventId, source, occurredAt } = decoded;
    return {
      statusId,
      origin,
      completedAt,
      outcome: "rejected",
      eventId,
      phone: null,
      source,
      reason,
      detail,
      idempotencyKey: null,
      environments: [],
      occurredAt,
    };
  }
  const { environments, outcome, detail } = verdictOf(entry);
  const { eventId, phone, source, occurredAt } = decoded.event;
  return {
    statusId,
    origin,
    completedAt,
    outcome,
    eventId,
    phone,
    source,
    reason: outcome === "delivered" ? null : "refused_by_environment",
    detail,
    idempotencyKey: sealed.batch.key,
    environments,
    occurredAt,
  };
}

function deadLetters(status: StatusRecord, event: BatchEvent, context: ResultContext): OutgoingMessage[] {
  const { reason, detail, origin } = status;
  if (reason === null) return [];
  const original = { ...event.record, topic: origin.topic, partition: origin.partition };
  const toMessage = (details: Parameters<typeof deadLetterMessage>[1]): OutgoingMessage => ({
    topic: context.topics.deadLetter,
    message: deadLetterMessage(original, details),
  });
  const explained = { reason, detail: detail ?? reason };
  if (!event.decoded.ok) return [toMessage(explained)];
  return status.environments
    .filter(({ outcome }) => outcome === "rejected")
    .map(({ name, attempts, httpStatus }) =>
      toMessage({ ...explained, environment: name, attempts, httpStatus }),
    );
}

const answeredAt = ({ outcomes }: SealedBatch): number | undefined => {
  const times = outcomes.flatMap((parts) => (Array.isArray(parts) ? (parts as readonly PartOutcome[]) : []));
  return times.length === 0 ? undefined : Math.max(...times.map((part) => part.answeredAt));
};

/** Of a status: where its event came from, if it was redriven, and the trace; without one of the relay's, the event's own. */
function statusHeaders({ record }: BatchEvent, ofBatch: Record<string, string> | undefined) {
  if (ofBatch === undefined && isEmpty(record.headers)) return undefined;
  const redriven = readRedriven(record.headers);
  if (ofBatch !== undefined && redriven === undefined) return { headers: ofBatch };
  const headers = {
    ...(ofBatch ?? traceHeaders(readTraceContext(record.headers))),
    ...(redriven && writeRedriven(redriven)),
  };
  return isEmpty(headers) ? undefined : { headers };
}

/**
 * Status records and dead letters of an answered batch: exactly one status for each of its events, with `spanContext` in
 * its headers.
 */
export function batchResults(
  sealed: SealedBatch,
  context: ResultContext,
  now: number,
  { spanContext, keepsAll = false }: { spanContext?: SpanContext | undefined; keepsAll?: boolean } = {},
): BatchResults {
  const results: BatchResults = {
    statuses: [],
    messages: [],
    outcomes: { delivered: 0, rejected: 0, partially_delivered: 0 },
    rejections: new Map(),
    deliveredAskedAt: [],
    answeredAt: answeredAt(sealed) ?? now,
  };
  const ofBatch = spanContext && traceHeaders(spanContext);
  const common: StatusContext = {
    sealed,
    topic: context.topics.events,
    verdictOf: createVerdicts(sealed, context.environments),
    completedAt: rfc3339(now),
    timeOf: createTimes(),
  };
  const timestamp = String(now);
  for (const event of sealed.batch.events) {
    const status = statusOf(event, common);
    results.outcomes[status.outcome]++;
    if (status.reason !== null || keepsAll) results.statuses.push(status);
    if (status.reason !== null) {
      results.rejections.set(status.reason, (results.rejections.get(status.reason) ?? 0) + 1);
    }
    if (status.outcome === "delivered") results.deliveredAskedAt.push(event.askedAt);
    results.messages.push({
      topic: context.topics.status,
      message: {
        key: status.phone ?? boundedKey(event.record.key),
        value: context.encoder.encode(status),
        timestamp,
        ...statusHeaders(event, ofBatch),
      },
    });
    results.messages.push(...deadLetters(status, event, context));
  }
  return results;
}

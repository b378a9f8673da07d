import { rfc3339 } from "../relay/result-messages.ts";
import { table } from "../table.ts";
import type { Gathered, Plan, Refusal, RejectedEvent } from "./plan.ts";
import type { SendReport } from "./sending.ts";

/** What `redrive --json` prints. Events are named by the `statusId` under which they were rejected. */
export interface RedriveReport {
  /** The events topic. */
  topic: string;
  dryRun: boolean;
  /** Dead letters that match the filters, and the rejected events that they are of. */
  matching: { deadLetters: number; events: number };
  alreadyRedriven: number;
  /** Events left for another run by `--limit`. */
  beyondLimit: number;
  /** Events that were too large to be dead-lettered whole, so they can't be sent again. */
  incomplete: string[];
  /** Records of the dead-letter topic that are no dead letters of this events topic. */
  foreign: number;
  /** Of `events`, those without a value: they will be rejected again. */
  withoutValue: number;
  sent: number;
  /** Events that the topic doesn't take, for their size or by its other settings. */
  refused: string[];
  /** Of `events`; one that several environments refused counts for each. */
  byReason: (Refusal & { events: number })[];
  /** What is sent, oldest first; in a dry run, what would be. */
  events: ReportedEvent[];
}

export interface ReportedEvent {
  statusId: string;
  /** The `statusId` of the event that was rejected first; the same unless it has been redriven before. */
  origin: string;
  /** As its producer gave them, without a phone number; null: it didn't, or its dead letter can't be read. */
  eventId: string | null;
  source: string | null;
  /** How often it had been redriven when it was rejected. */
  redriven: number;
  /** Why it was rejected, in words; of several environments, the first that said so. */
  detail: string;
  /** RFC 3339: when the first of its dead letters was written. */
  rejectedAt: string;
  refusals: Refusal[];
  sent: boolean;
}

const MAX_LISTED = 20;

export function redriveReport(
  topic: string,
  { gathered, ...plan }: Plan & { gathered: Gathered },
  done: SendReport | null,
): RedriveReport {
  return {
    topic,
    dryRun: done === null,
    matching: { deadLetters: gathered.letters, events: gathered.events.length },
    alreadyRedriven: plan.alreadyRedriven,
    beyondLimit: plan.left,
    incomplete: plan.incomplete.map(({ letter }) => letter.statusId),
    foreign: gathered.foreign,
    withoutValue: plan.events.filter(({ letter }) => letter.isEmpty).length,
    sent: done?.sent.size ?? 0,
    refused: [...(done?.refused ?? [])].map(({ statusId }) => statusId),
    byReason: byReason(plan.events),
    events: plan.events.map(({ letter, at, refusals }) => ({
      statusId: letter.statusId,
      origin: letter.origin,
      eventId: letter.eventId,
      source: letter.source,
      redriven: letter.redriven,
      detail: letter.detail,
      rejectedAt: rfc3339(at),
      refusals: [...refusals],
      sent: done?.sent.has(letter) ?? false,
    })),
  };
}

function byReason(events: readonly RejectedEvent[]): RedriveReport["byReason"] {
  const counts = new Map<string, Refusal & { events: number }>();
  for (const { reason, environment } of events.flatMap(({ refusals }) => refusals)) {
    const key = JSON.stringify([reason, environment]);
    const counted = counts.get(key) ?? { reason, environment, events: 0 };
    counts.set(key, { ...counted, events: counted.events + 1 });
  }
  return [...counts.values()].sort(
    (a, b) => a.reason.localeCompare(b.reason) || (a.environment ?? "").localeCompare(b.environment ?? ""),
  );
}

const count = (events: number): string => `${events} event${events === 1 ? "" : "s"}`;

/** The plan, for people. */
export function describePlan(report: RedriveReport): string {
  const { topic, events, matching, alreadyRedriven, beyondLimit, incomplete, withoutValue } = report;
  const lines: string[] = [];
  if (events.length === 0) lines.push(`Nothing to send: ${nothingBecause(report)}`);
  else {
    lines.push(
      `${count(events.length)} to send to ${topic}, of ${matching.events} with dead letters that match.`,
      "",
      reasonsTable(report),
      eventsTable(events),
    );
  }
  if (alreadyRedriven > 0 && events.length > 0) {
    lines.push(`${count(alreadyRedriven)} left out: redriven before (--again sends them once more).`);
  }
  if (beyondLimit > 0) lines.push(`${count(beyondLimit)} left for another run by --limit.`);
  if (withoutValue > 0) {
    lines.push(`${count(withoutValue)} without a value among them: an empty record is rejected again.`);
  }
  if (incomplete.length > 0) lines.push(incompleteNote(incomplete));
  return `${lines.join("\n")}\n`;
}

function nothingBecause({ matching, alreadyRedriven, incomplete, foreign }: RedriveReport): string {
  if (alreadyRedriven > 0 && incomplete.length === 0) {
    return `what matches (${count(alreadyRedriven)}) was redriven before (--again sends it once more).`;
  }
  if (matching.events > 0) {
    return `${count(matching.events)} match: ${alreadyRedriven} redriven before, ${incomplete.length} incomplete.`;
  }
  if (foreign > 0) return `no dead letter matches; ${foreign} are of other topics.`;
  return "no dead letter matches.";
}

const incompleteNote = (incomplete: readonly string[]): string =>
  `${count(incomplete.length)} can't be sent again: too large to be dead-lettered whole (raise max.message.bytes of ` +
  "the dead-letter topic for those to come). Get these from their producers; --skip-incomplete " +
  `leaves them out without failing: ${listed(incomplete)}`;

const listed = (names: readonly string[]): string => {
  const more = names.length - MAX_LISTED;
  return names.slice(0, MAX_LISTED).join(", ") + (more > 0 ? ` and ${more} more` : "");
};

const reasonsTable = ({ byReason: rows }: RedriveReport): string =>
  table(
    ["reason", "environment", "events"],
    rows.map(({ reason, environment, events }) => [reason, environment ?? "-", String(events)]),
    ["events"],
  );

function eventsTable(events: readonly ReportedEvent[]): string {
  const rows = events
    .slice(0, MAX_LISTED)
    .map(({ statusId, eventId, source, rejectedAt, redriven, detail }) => [
      ...[statusId, eventId ?? "-", source ?? "-"],
      ...[rejectedAt, String(redriven), detail],
    ]);
  const more = events.length - rows.length;
  const rest = more > 0 ? `… and ${more} more; --json lists all.\n` : "";
  return (
    table(["event", "event id", "source", "rejected at", "earlier rounds", "because"], rows, [
      "earlier rounds",
    ]) + rest
  );
}

/** What was sent, for people. */
export function describeSent({ topic, events, sent, refused }: RedriveReport): string {
  const missing = events.length - sent - refused.length;
  const lines = [`${sent} of ${count(events.length)} sent to ${topic}.`];
  if (refused.length > 0) {
    lines.push(
      `${count(refused.length)} refused by ${topic}: too large (raise its max.message.bytes), or against its other settings (a compacted topic takes none without a key). ${listed(refused)}`,
    );
  }
  if (missing > 0) {
    lines.push(`${count(missing)} not sent. Run it again: what was sent is recognised and left out.`);
  }
  return `${lines.join("\n")}\n`;
}

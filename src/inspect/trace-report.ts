import { grouped } from "../grouped.ts";
import { table } from "../table.ts";
import type { Trace, TracedEnvironment, TracedEvent } from "./trace.ts";
import { transactionRemark } from "./transactions.ts";

const NONE = "-";

/** A trace for people: when each environment had the phone first, then its opt-outs one by one, then what was read. */
export function describeTrace(trace: Trace): string {
  const { phone, events } = trace;
  const heading =
    events.length === 0
      ? nothingKnown(trace)
      : `${phone}: ${events.length === 1 ? "one opt-out" : `${events.length} opt-outs`}\n`;
  const summary = events.length === 0 ? [] : [summaryTable(trace)];
  return [heading, ...summary, ...events.map(describeEvent), footnotes(trace)].join("\n");
}

const nothingKnown = ({ phone, read }: Trace): string =>
  isWhole(read)
    ? `Nothing is known of ${phone}: no outcome on the status topic, and no opt-out that is pending.\nAn opt-out that was rejected before its number was read isn't found this way: optout-relay redrive --all --dry-run lists those.\n`
    : `Nothing was found of ${phone}, but not all could be read.\n`;

const isWhole = ({ status, pending, problem }: Trace["read"]): boolean =>
  problem === null &&
  status.behindTransaction.length + pending.behindTransaction.length + status.unreadable.length === 0;

const summaryTable = ({ environments }: Trace): string =>
  table(
    ["environment", "accepted since", "accepted", "rejected", "pending"],
    environments.map(({ name, acceptedBy, accepted, rejected, pending }) => [
      name,
      acceptedBy ?? NONE,
      ...[accepted, rejected, pending].map(grouped),
    ]),
    ["accepted", "rejected", "pending"],
  );

function describeEvent(event: TracedEvent, index: number): string {
  const { source, occurredAt, eventId, origin, idempotencyKey, reason, detail, redriven, environments } =
    event;
  const facts: [string, string | null][] = [
    ["asked", occurredAt],
    [
      "received",
      `${origin.timestamp}  ${origin.topic}, partition ${origin.partition}, offset ${origin.offset}`,
    ],
    ["event id", eventId],
    ["batch", idempotencyKey],
    ["outcome", outcomeOf(event)],
    ["reason", reason === null ? null : `${reason}${detail === null ? "" : `: ${detail}`}`],
    ["redriven", redriven && `${redriven.at}, for ${redriven.from} (round ${redriven.count})`],
  ];
  const lines = facts.flatMap(([name, value]) => (value === null ? [] : [`   ${name.padEnd(10)}${value}`]));
  const results = environments.length === 0 ? "" : `\n${indented(environmentTable(environments))}`;
  return `${index + 1}. From ${source}\n${lines.join("\n")}\n${results}`;
}

function outcomeOf({ state, outcome, completedAt, idempotencyKey, environments }: TracedEvent): string {
  if (outcome !== null) return `${outcome.replace("_", " ")}, ${completedAt}`;
  const lacking = environments.filter((each) => each.outcome === "pending").map(({ name }) => name);
  if (state === "waiting") return "pending: not in a batch yet";
  if (idempotencyKey === null) return "pending: in a batch that couldn't be read whole";
  if (lacking.length > 0) return `pending: waits for ${lacking.join(", ")}`;
  return environments.some((each) => each.outcome === "unknown")
    ? "settled, but its status record isn't there any more"
    : "pending: every environment has it, its status is about to be written";
}

const environmentTable = (environments: readonly TracedEnvironment[]): string =>
  table(
    ["environment", "answer", "attempts", "HTTP", "acknowledged", "request id"],
    environments.map(({ name, outcome, attempts, httpStatus, acknowledgedAt, requestId }) => [
      name,
      outcome,
      attempts?.toString() ?? NONE,
      httpStatus?.toString() ?? NONE,
      acknowledgedAt ?? NONE,
      requestId ?? NONE,
    ]),
    ["attempts", "HTTP"],
  );

const indented = (text: string): string => text.replace(/^(?=.)/gm, "   ");

function footnotes({ read: { status, pending, problem } }: Trace): string {
  const { partitions, partitionsInAll, because, since, unreadable } = status;
  const where = {
    key:
      partitionsInAll === 1
        ? ""
        : ` in partition ${partitions.join(", ")} of ${partitionsInAll}, where this number's go`,
    all: ` in all ${partitionsInAll} partitions`,
    moved: ` in all ${partitionsInAll} partitions, since the topic's records don't all lie where their keys would go now`,
  }[because];
  const lines = [
    `Read: ${grouped(status.records)} ${status.records === 1 ? "record" : "records"} of ${status.topic}${where}${since === null ? "" : `, from ${since} on`}; ` +
      `${grouped(pending.records)} pending of ${pending.topic}.`,
    ...withoutPhone(pending.withoutPhone),
    ...withoutSchema(pending.withoutSchema),
    ...unreadable.map(
      ({ partition, offset, detail }) =>
        `A status of this number, partition ${partition}, offset ${offset}, couldn't be read: ${detail}.`,
    ),
    ...status.behindTransaction.map((each) => transactionRemark(each, status.topic)),
    ...pending.behindTransaction.map((each) => transactionRemark(each, pending.topic)),
    ...(problem === null ? [] : [problem]),
  ];
  return `${lines.join("\n")}\n`;
}

function withoutSchema(records: number): string[] {
  if (records === 0) return [];
  return [
    `${grouped(records)} of the pending ones couldn't be read for want of their schema: this number may be among them.`,
  ];
}

function withoutPhone(records: number): string[] {
  if (records === 0) return [];
  const [number, them] = records === 1 ? ["one", "It"] : [grouped(records), "They"];
  return [`In ${number} of the pending ones no phone could be read. ${them} will be rejected.`];
}

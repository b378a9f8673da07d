import { Command, InvalidArgumentError, Option } from "commander";
import type { Config } from "../config/schema.ts";
import { OptoutError } from "../errors.ts";
import { orAbort } from "../events/abort.ts";
import { toRfc3339 } from "../events/timestamp.ts";
import { describeReport } from "../evidence/closing.ts";
import { FORMATS, type FormatName, writeReport } from "../evidence/evidence.ts";
import { createFileOutput, createStreamOutput, type Output } from "../evidence/output.ts";
import { type EvidenceQuery, readEvidence } from "../evidence/read.ts";
import type { ReportHead } from "../evidence/report.ts";
import { closeKafka, createKafka } from "../kafka/client.ts";
import { silentLogger } from "../observability/logger.ts";
import { maskPhone, normalizePhone } from "../phone/normalize.ts";
import { VERSION } from "../version.ts";
import { createCounter } from "./counter.ts";
import { stopSignal } from "./lifecycle.ts";
import { parseMoment } from "./moment.ts";
import { type ConfigOption, configFrom, withConfigOption } from "./options.ts";
import { parseRegion } from "./region.ts";

interface EvidenceOptions extends ConfigOption {
  from: number;
  to?: number;
  phone?: string;
  region?: string;
  format: FormatName;
  reveal?: boolean;
  output?: string;
}

/** `optout-relay evidence`: the report a regulator asks for. */
export const evidenceCommand = (): Command =>
  withConfigOption(new Command("evidence"))
    .description(
      "report for a regulator: when each opt-out was asked, received and honoured, in each environment",
    )
    .requiredOption(
      "--from <time>",
      "received then or later: a date, RFC 3339, or how long ago (30d)",
      (value) => parseBound(value, "from"),
    )
    .option("--to <time>", "received before then; a date: that day too (default: now)", (value) =>
      parseBound(value, "to"),
    )
    .option("--phone <phone>", "only this number's, as people write it")
    .option(
      "--region <code>",
      "region of a number without a country code (default: normalization.defaultRegion)",
      parseRegion,
    )
    .addOption(
      new Option("--format <format>", "csv, json, or html to read and print")
        .choices(FORMATS)
        .makeOptionMandatory(),
    )
    .option("--reveal", "whole phone numbers, not only their last two digits")
    .option("--output <file>", "write it there, readable by you only (default: standard output)")
    .addHelpText("after", HELP)
    .action(async (options: EvidenceOptions) => {
      const config = configFrom(options);
      await runEvidence(queryFrom(options, config, Date.now()), options, config);
    });

const HELP = `
  optout-relay evidence --from 2026-03-01 --to 2026-03-31 \\
    --format html --output march.html --config relay.yaml
  optout-relay evidence --from 90d --phone "(212) 555-0123" --format csv --reveal

The period is of when an opt-out was received: the timestamp of its record in
the events topic, which no repeat and no late delivery changes, so that it falls
into one period and no other. Dates and all times printed are UTC. Each opt-out
that has its final outcome is told once; what has none yet is only counted.

Time to honour: from when the person asked, or was received if the producer
didn't say so or named a later time, until the last environment acknowledged.
Null if not all did; "at_most" if a restart lost when, and the time it was
final stands for it. Percentiles are exact (nearest rank).

It only reads, and needs READ on the status topic; and, to count what is not
final, DESCRIBE on the events topic and on the consumer group. It reads from an
hour before --from to the end of the topic, and holds 2,000,000 opt-outs at most.
csv and json come in the order of the topic; html by when received, and lists
10,000 at most. The numbers, and the report's SHA-256, go to standard error.

csv: RFC 4180; five columns for each configured environment. Text that begins
with = + - @ or a tab has an apostrophe before it, since spreadsheets would
calculate it: phones too.

json: {report: {topic, from, to, selectedBy, timeZone, phone, phonesMasked,
environments, generatedAt, version}, optOuts: [{statusId, phone, source, eventId,
askedAt, receivedAt, completedAt, outcome, reason, detail, idempotencyKey,
timeToHonourSeconds, timeToHonourIs: "exact" or "at_most", countedFrom: "asked"
or "received", redrivenOrigin, environments: [{name, outcome, attempts,
httpStatus, requestId, acknowledgedAt}]}], summary: {optOuts, delivered,
partiallyDelivered, rejected, asked, redriven, byReason, byEnvironment,
timeToHonour: {optOuts, p50, p90, p99, max, atMost}, slowest, notHonoured}, read:
{records, repeats, unreadable, expired, behindTransaction, unsettled, problem}};
a line for each of optOuts.

Exit code: 0 it is complete, as far as the topic reaches back; 1 it couldn't be
made, or records couldn't be read; 2 wrong usage.
`;

const DAY_MS = 24 * 60 * 60 * 1_000;

/** For commander. A date is its beginning as `--from`, and its end as `--to`, in UTC; else as `parseMoment`. */
export function parseBound(value: string, bound: "from" | "to", now: number = Date.now()): number {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(value)) return parseMoment(value, now);
  const midnight = toRfc3339(`${value}T00:00:00Z`);
  if (midnight === undefined) throw new InvalidArgumentError("There is no such day.");
  return Math.max(0, Date.parse(midnight) + (bound === "to" ? DAY_MS : 0));
}

function queryFrom(options: EvidenceOptions, config: Config, now: number): EvidenceQuery {
  const { from, to = now } = options;
  if (from >= to) {
    throw new OptoutError(
      "usage",
      `--from (${new Date(from).toISOString()}) is not before --to (${new Date(to).toISOString()}): nothing lies between.`,
    );
  }
  return {
    from,
    to,
    phone: options.phone === undefined ? undefined : phoneFrom(options.phone, options, config),
  };
}

function phoneFrom(text: string, { region }: EvidenceOptions, { normalization }: Config): string {
  const normalized = normalizePhone(text, region ?? normalization.defaultRegion);
  if (normalized.ok) return normalized.e164;
  throw new OptoutError(
    "usage",
    `There is no report of the phone "${maskPhone(text)}": ${normalized.detail}. ` +
      "Write it with its country code, such as +12125550123, or name its region: --region US.",
  );
}

function headOf({ from, to, phone }: EvidenceQuery, reveal: boolean, config: Config): ReportHead {
  return {
    topic: config.topics.status,
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    ...{ selectedBy: "receivedAt", timeZone: "UTC" },
    phone: phone === undefined ? null : reveal ? phone : maskPhone(phone),
    phonesMasked: !reveal,
    environments: config.environments.map(({ name }) => name),
    generatedAt: new Date().toISOString(),
    version: VERSION,
  };
}

async function runEvidence(query: EvidenceQuery, options: EvidenceOptions, config: Config): Promise<void> {
  const { format, reveal = false, output: file } = options;
  const stopping = new AbortController();
  void stopSignal().then((name) => stopping.abort(new Error(`stopped by ${name}`)));
  const { signal } = stopping;
  const counter = createCounter(process.stderr);
  // Before anything is read, so that a folder that isn't there is told at once.
  const output: Output =
    file === undefined ? createStreamOutput(process.stdout) : await createFileOutput(file);
  // The client's complaints come back as the command's error.
  const kafka = createKafka(config.kafka, silentLogger());
  const head = headOf(query, reveal, config);
  const context = { kafka, config, signal, progress: counter.count };
  try {
    const report = await writeReport(head, format, output, (give) =>
      orAbort(readEvidence(query, context, give), signal),
    );
    counter.clear();
    process.stderr.write(describeReport(head, report, file));
    if (report.read.unreadable.records > 0 || report.read.problem !== null) process.exitCode = 1;
  } catch (error) {
    counter.clear();
    if (!signal.aborted) throw error;
    process.stderr.write(
      `Stopped. ${file === undefined ? "The report is not whole" : "No report was written"}.\n`,
    );
    process.exitCode = 1;
  } finally {
    await output.discard();
    closeKafka(kafka);
  }
  // Requests that were given up would hold the process while their client tries them again.
  if (signal.aborted) process.stdout.write("", () => process.exit());
}

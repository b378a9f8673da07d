import { Command } from "commander";
import type { Config } from "../config/schema.ts";
import { OptoutError } from "../errors.ts";
import { trace } from "../inspect/trace.ts";
import { describeTrace } from "../inspect/trace-report.ts";
import { closeKafka, createKafka } from "../kafka/client.ts";
import { silentLogger } from "../observability/logger.ts";
import { createPhoneMask } from "../observability/phone-mask.ts";
import { maskPhone, normalizePhone } from "../phone/normalize.ts";
import { createCounter } from "./counter.ts";
import { parseMoment } from "./moment.ts";
import { type ConfigOption, configFrom, withConfigOption } from "./options.ts";
import { parseRegion } from "./region.ts";

interface TraceOptions extends ConfigOption {
  region?: string;
  since?: number;
  allPartitions?: boolean;
  json?: boolean;
}

/** `optout-relay trace`: everything known of one number. */
export const traceCommand = (): Command =>
  withConfigOption(new Command("trace"))
    .description("show everything known of one number: received, batch, each environment's answer and time")
    .argument("<phone...>", "the number, as people write it")
    .option(
      "--region <code>",
      "region of a number without a country code (default: normalization.defaultRegion)",
      parseRegion,
    )
    .option(
      "--since <time>",
      "only outcomes that are not older: RFC 3339, or how long ago (2h, 14d); what is pending is shown anyway",
      (value) => parseMoment(value),
    )
    .option("--all-partitions", "read the whole status topic, not only where this number's records go")
    .option("--json", "print one JSON object instead of text")
    .addHelpText("after", HELP)
    .action(async (phone: string[], options: TraceOptions) => {
      const config = configFrom(options);
      await runTrace(phoneFrom(phone.join(" "), options, config), options, config);
    });

const HELP = `
  optout-relay trace "(212) 555-0123"
  optout-relay trace +44 20 7946 0958 --since 30d --json

Shows what the status topic and the ledger of the pending batches say. It only
reads, and needs READ on both topics and DESCRIBE on the consumer group.

An event that was rejected because no phone could be read in it is not found by
number; the dead letters have it: optout-relay redrive --all --dry-run.

Of an environment it says: accepted, rejected, pending; or unknown, if the event
is settled and its status not found. Where a restart of the relay lost the
details of an acknowledgement, they are left out ("-" or null).

--json prints {phone, events: [{statusId, state: "settled", "sealed" (in a
batch) or "waiting", outcome, eventId, source, occurredAt, origin: {topic,
partition, offset, timestamp}, idempotencyKey, reason, detail, completedAt,
redriven, environments: [{name, outcome, attempts, httpStatus, requestId,
acknowledgedAt}]}], environments: [{name, accepted, rejected, pending, unknown,
acceptedBy}], read: {status, pending, problem}}. acceptedBy is when the
environment is known to have accepted the first; problem says why not all could
be read, else null; behindTransaction in status and pending, [{partition,
records}], what an open transaction keeps from being read yet. phoneHash is that
of the relay's log lines; null unless logging.phoneHashSecret is configured.

Exit code: 0 it was looked up, also if nothing is known; 1 it could not be, or
not all; 2 wrong usage.
`;

function phoneFrom(text: string, { region }: TraceOptions, { normalization }: Config): string {
  const normalized = normalizePhone(text, region ?? normalization.defaultRegion);
  if (normalized.ok) return normalized.e164;
  throw new OptoutError(
    "usage",
    `The phone "${maskPhone(text)}" can't be traced: ${normalized.detail}. ` +
      "Write it with its country code, such as +12125550123, or name its region: --region US.",
  );
}

/** As the relay's log lines have it; empty if each relay makes up a key of its own. */
const phoneHash = (phone: string, { logging: { phoneHashSecret } }: Config): string =>
  phoneHashSecret === undefined ? "" : createPhoneMask(phoneHashSecret)(phone).phoneHash;

async function runTrace(phone: string, options: TraceOptions, config: Config): Promise<void> {
  const { since, allPartitions = false, json } = options;
  const counter = createCounter(process.stderr);
  // The client's complaints come back as the command's error.
  const kafka = createKafka(config.kafka, silentLogger());
  try {
    const found = await trace({ phone, since, allPartitions }, { kafka, config, progress: counter.count });
    counter.clear();
    const hash = phoneHash(phone, config);
    const report = () => `${describeTrace(found)}${hash && `\nIn the relay's log: phoneHash ${hash}\n`}`;
    process.stdout.write(json ? `${JSON.stringify({ ...found, phoneHash: hash || null })}\n` : report());
    if (found.read.problem !== null) process.exitCode = 1;
  } finally {
    counter.clear();
    closeKafka(kafka);
  }
}

import { Command, InvalidArgumentError } from "commander";
import type { Config } from "../config/schema.ts";
import { OptoutError } from "../errors.ts";
import { orAbort } from "../events/abort.ts";
import { REJECT_REASONS } from "../events/event.ts";
import { closeKafka, createKafka } from "../kafka/client.ts";
import { silentLogger } from "../observability/logger.ts";
import { confirm } from "../redrive/confirm.ts";
import type { RedriveContext } from "../redrive/context.ts";
import type { Gathered } from "../redrive/plan.ts";
import { planRedrive } from "../redrive/planning.ts";
import { describePlan, describeSent, type RedriveReport, redriveReport } from "../redrive/report.ts";
import { sendEvents } from "../redrive/sending.ts";
import { type Counter, createCounter } from "./counter.ts";
import { stopSignal } from "./lifecycle.ts";
import { parseMoment } from "./moment.ts";
import { type ConfigOption, configFrom, withConfigOption } from "./options.ts";

interface RedriveOptions extends ConfigOption {
  reason?: string[];
  environment?: string[];
  since?: number;
  until?: number;
  all?: boolean;
  limit?: number;
  again?: boolean;
  skipIncomplete?: boolean;
  dryRun?: boolean;
  yes?: boolean;
  json?: boolean;
}

const MAX_LIMIT = 1_000_000;

/** `optout-relay redrive`: dead letters back to the events topic. */
export const redriveCommand = (): Command =>
  withConfigOption(new Command("redrive"))
    .description("send rejected events, kept as dead letters, to the events topic once more")
    .option("--reason <code>", "only those rejected for it; repeatable", addReason)
    .option("--environment <name>", "only those this environment refused; repeatable", addName)
    .option(
      "--since <time>",
      "only those rejected then or later: RFC 3339, or how long ago (2h, 14d)",
      (value) => parseMoment(value),
    )
    .option("--until <time>", "only those rejected then or earlier", (value) => parseMoment(value))
    .option("--all", "all there are, if none of these is given")
    .option("--limit <n>", "so many events at most, the oldest first", parseLimit)
    .option("--again", "also those that were redriven before")
    .option("--skip-incomplete", "don't fail for events that were too large to be kept whole")
    .option("--dry-run", "show what would be sent, and send nothing")
    .option("-y, --yes", "don't ask before sending; needed where nobody can be asked")
    .option("--json", "print one JSON object instead of tables")
    .addHelpText("after", HELP)
    .action(async (options: RedriveOptions) => {
      checkOptions(options);
      await runRedrive(configFrom(options), options);
    });

const HELP = `
Reasons: ${REJECT_REASONS.slice(0, 4).join(", ")},
${REJECT_REASONS.slice(4).join(", ")}.

Mend the cause first (a schema, a region, an environment), then look, then send:

  optout-relay redrive --environment us-west --since 2h --dry-run
  optout-relay redrive --environment us-west --since 2h

An event goes back whole, with its key, value and headers, and is settled like
any other, in every environment; one that took it before gets the same number
once more. It is sent once, however many dead letters it has, and not again by a
second run. Headers tell where it comes from: optout.redriven.origin, .from, .at
and .count. Its status has them too, and its dead letter if it is rejected again:
that is a new dead letter, which a later run sends, so mend the cause first.

It needs READ on the dead-letter and the status topic, READ and WRITE on the
events topic, and DESCRIBE on the consumer group.

--json prints {topic, dryRun, matching: {deadLetters, events}, alreadyRedriven,
beyondLimit, incomplete, foreign, withoutValue, sent, refused, byReason: [{reason,
environment, events}], events: [{statusId, origin, eventId, source, redriven,
rejectedAt, refusals, detail, sent}]}.

Exit code: 0 all that match are sent, or none does; 1 some are not; 2 wrong usage.
`;

function addReason(value: string, before: string[] = []): string[] {
  if (REJECT_REASONS.some((reason) => reason === value)) return [...before, value];
  throw new InvalidArgumentError(`It must be one of ${REJECT_REASONS.join(", ")}.`);
}

const addName = (value: string, before: string[] = []): string[] => [...before, value];

function parseLimit(value: string): number {
  const limit = Number(value);
  if (/^\d+$/.test(value) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_LIMIT}.`);
}

function checkOptions(options: RedriveOptions): void {
  const { reason, environment, since, until, all, dryRun, yes } = options;
  const isFiltered = [reason, environment, since, until].some((filter) => filter !== undefined);
  if (!isFiltered && !all && !dryRun) {
    throw new OptoutError(
      "usage",
      "Say which dead letters: --reason, --environment, --since or --until; or --all of them. --dry-run only shows.",
    );
  }
  if (since !== undefined && until !== undefined && since > until) {
    throw new OptoutError(
      "usage",
      `--since (${new Date(since).toISOString()}) is after --until (${new Date(until).toISOString()}): nothing lies between.`,
    );
  }
  if (!dryRun && !yes && !canAsk()) {
    throw new OptoutError(
      "usage",
      "Nobody can be asked here before events are sent: add --yes, or --dry-run.",
    );
  }
}

const canAsk = (): boolean => process.stdin.isTTY === true && process.stderr.isTTY === true;

async function runRedrive(config: Config, options: RedriveOptions): Promise<void> {
  const stopping = new AbortController();
  void stopSignal().then((name) => stopping.abort(new Error(`stopped by ${name}`)));
  const { signal } = stopping;
  const counter = createCounter(process.stderr);
  // The client's complaints come back as the command's error.
  const kafka = createKafka(config.kafka, silentLogger());
  try {
    await redrive(config, options, { kafka, config, signal, progress: counter.count }, counter);
  } catch (error) {
    counter.clear();
    if (!signal.aborted) throw error;
    process.stderr.write("Stopped. Nothing was sent.\n");
    process.exitCode = 1;
  } finally {
    closeKafka(kafka);
  }
  // Requests that were given up would hold the process while their client tries them again.
  if (signal.aborted) process.stdout.write("", () => process.exit());
}

async function redrive(
  config: Config,
  options: RedriveOptions,
  context: RedriveContext,
  counter: Counter,
): Promise<void> {
  const topic = config.topics.events;
  const { reason: reasons = [], environment: environments = [], since, until } = options;
  const request = {
    selection: { reasons, environments, since, until },
    limit: options.limit ?? Number.POSITIVE_INFINITY,
    again: options.again === true,
  };
  const plan = await orAbort(planRedrive(request, context), context.signal);
  counter.clear();
  requireKnown(environments, config, plan.gathered);
  const planned = redriveReport(topic, plan, null);
  if (!options.json) process.stdout.write(describePlan(planned));
  const isAgreed =
    options.dryRun || planned.events.length === 0 || options.yes || (await ask(planned, context));
  if (!isAgreed) {
    process.stderr.write("Nothing was sent.\n");
    process.exitCode = 1;
    return;
  }
  const done = options.dryRun ? null : await sendEvents(plan.events, context, Date.now);
  counter.clear();
  const report = redriveReport(topic, plan, done);
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else if (done !== null && plan.events.length > 0) process.stdout.write(describeSent(report));
  if (done?.failure !== undefined) throw done.failure;
  if (!isComplete(report, options)) process.exitCode = 1;
}

const ask = ({ topic, events }: RedriveReport, { signal }: RedriveContext): Promise<boolean> =>
  confirm(`Send ${events.length} to ${topic}?`, { input: process.stdin, output: process.stderr, signal });

/** Environments that were taken out of the configuration have dead letters still. */
function requireKnown(names: readonly string[], config: Config, gathered: Gathered): void {
  const known = new Set([...config.environments.map(({ name }) => name), ...gathered.environments]);
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length === 0) return;
  throw new OptoutError(
    "usage",
    `No environment of the configuration or of a dead letter read is named ${unknown.map((name) => `"${name}"`).join(" or ")}. ` +
      `There are: ${[...known].sort().join(", ")}.`,
  );
}

const isComplete = (report: RedriveReport, { dryRun, skipIncomplete }: RedriveOptions): boolean =>
  (dryRun === true || report.sent === report.events.length) &&
  (skipIncomplete === true || report.incomplete.length === 0);

import { Command, InvalidArgumentError, Option } from "commander";
import { formatDuration, parseDuration } from "../config/units.ts";
import { describeSize, problemsOf } from "../sizing/describe.ts";
import { sizedEnvironments } from "../sizing/environments.ts";
import { type Plan, sizeOf } from "../sizing/sizing.ts";
import { parseCount } from "./count.ts";
import { type ConfigOption, configFrom, withConfigOption } from "./options.ts";

const HOUR_MS = 3_600_000;

interface SizeOptions
  extends ConfigOption,
    Pick<Plan, "eventsPerSecond" | "partitions" | "replicas" | "eventBytes"> {
  /** Milliseconds. */
  outage: number;
  json?: boolean;
}

/** `optout-relay size`: what a load takes, by the configuration alone. Exit code 1 if something isn't enough. */
export const sizeCommand = (): Command =>
  withConfigOption(new Command("size"))
    .description("work out what a load takes of quotas, ledger and memory; reaches nothing")
    .requiredOption("--events-per-second <n>", "opt-outs, over all partitions", parseRate)
    .option("--partitions <n>", "of the events topic", parseCount(10_000), 6)
    .option("--replicas <n>", "relays", parseCount(10_000), 1)
    .option("--event-bytes <n>", "key, value and headers of an event", parseCount(1_048_576), 200)
    .addOption(
      new Option("--outage <duration>", "of an environment, to be caught up after")
        .argParser(parseOutage)
        .default(HOUR_MS, formatDuration(HOUR_MS)),
    )
    .option("--json", "print one JSON object instead of tables")
    .addHelpText("after", HELP)
    .action(({ outage, json, config: file, ...load }: SizeOptions) => {
      const { batching, environments } = configFrom({ config: file });
      const plan: Plan = {
        ...{ ...load, batching, outageSeconds: outage / 1_000 },
        environments: sizedEnvironments(environments),
      };
      const size = sizeOf(plan);
      const problems = problemsOf(size, plan);
      process.stdout.write(json ? `${JSON.stringify({ ...size, problems })}\n` : describeSize(size, plan));
      if (problems.length > 0) process.exitCode = 1;
    });

const HELP = `
  optout-relay size --config relay.yaml --events-per-second 200
  optout-relay size --config relay.yaml --events-per-second 200 --partitions 24
      --replicas 3 --outage 8h

For events that are valid, of different phones, and evenly spread. Retries and
refused entries take requests besides: plan for half of a quota. What it is made
of, and what a process can do: docs/scaling.md.

--json prints {environments: [{name, quota, requestsPerSecond, verdict,
queueSeconds, catchUpSeconds}], batch, partition, replica, problems}. The
verdict is enough, late (full batches would fit into the quota, those cut by
time don't) or behind. catchUpSeconds is null if it never catches up.

Exit code: 0 it is enough, 1 something isn't, or the configuration is invalid;
2 wrong usage.
`;

function parseRate(value: string): number {
  const rate = Number(value);
  if (/^\d+(\.\d+)?$/.test(value) && rate >= 0.001 && rate <= 1e6) return rate;
  throw new InvalidArgumentError("It must be a number from 0.001 to 1000000.");
}

function parseOutage(value: string): number {
  const outage = parseDuration(value);
  if (outage !== undefined && outage > 0) return outage;
  throw new InvalidArgumentError("It must be a duration, such as 30m or 8h.");
}

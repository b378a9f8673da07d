import { Command, InvalidArgumentError, Option } from "commander";
import { longest, runChecks } from "../check/check.ts";
import { about, type Finding, failed } from "../check/finding.ts";
import { type Report, reportOf, reportTable } from "../check/report.ts";
import { formatDuration, parseDuration } from "../config/units.ts";
import { OptoutError } from "../errors.ts";
import { stopSignal } from "./lifecycle.ts";
import { type ConfigOption, configFrom, withConfigOption } from "./options.ts";

const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_TIMEOUT_MS = 5 * 60_000;
/** Of the table, in characters, where there is no terminal to ask. */
const WIDTH = 120;

const HELP = `
  optout-relay check --config relay.yaml

Validates the configuration, then reaches all that it names, at the same time,
and changes nothing anywhere:

  configuration  each key; whether the quotas bear the batches that the topic's
                 partitions cut by time
  broker         each one configured, and each that the brokers name:
                 connection, TLS, login
  cluster        whether the relay's ledger fits in a commit; session timeout
  topic          exists, partitions, replicas, cleanup policy, retention,
                 message size, what this user may do
  group          who is in it, what it has committed, what this user may do
  registry       connection, login, the schemas of events and results
  environment    a token with its credentials; the clock; whether the API takes
                 that token, asked by a request without entries; with
                 admin-dnc-groups, whether the group is active and scrubbed

Results: "ok"; "warning", the relay works, but not for ever or not as well as it
should; "failed"; "not checked", with the reason. Below (>), how to mend it.

--json prints {"ok", "counts": {"ok", "warning", "failed", "not_checked"},
"findings": [{"area", "name", "check", "result", "detail", "remedy"}]}, the
remedy null if there is nothing to mend. Names and results stay, words may
change:

  optout-relay check --json | jq '.findings[] | select(.result == "failed")'

Exit codes: 0 nothing failed (there may be warnings), 1 something failed, or the
configuration is invalid, 2 wrong usage.
`;

interface CheckCommandOptions extends ConfigOption {
  json?: boolean;
  /** Milliseconds. */
  timeout: number;
}

/** `optout-relay check`: would it work? Exit code 1 if something would fail. */
export const checkCommand = (): Command =>
  withConfigOption(new Command("check"))
    .description("validate the configuration and reach everything it names; changes nothing")
    .option("--json", "print the findings as JSON")
    .addOption(
      new Option("--timeout <duration>", "for each answer")
        .argParser(parseTimeout)
        .default(DEFAULT_TIMEOUT_MS, formatDuration(DEFAULT_TIMEOUT_MS)),
    )
    .addHelpText("after", HELP)
    .action(async ({ json = false, timeout, ...options }: CheckCommandOptions) => {
      void stopSignal().then(leave);
      const report = reportOf(await findAll(options, { json, timeout }));
      process.stdout.write(json ? jsonOf(report) : reportTable(report, process.stdout.columns || WIDTH));
      if (!report.ok) process.exitCode = 1;
    });

const jsonOf = (report: Report): string => `${JSON.stringify(report, null, 2)}\n`;

async function findAll(
  options: ConfigOption,
  { json, timeout }: { json: boolean; timeout: number },
): Promise<Finding[]> {
  const invalid = (error: unknown): Finding[] => {
    if (!json || !(error instanceof OptoutError)) throw error;
    return about("configuration", "", [failed("valid", error.message, "Correct the configuration.")]);
  };
  let config: ReturnType<typeof configFrom>;
  try {
    config = configFrom(options);
  } catch (error) {
    return invalid(error);
  }
  return withProgress(timeout, (onWaiting) => runChecks(config, { timeout, onWaiting }));
}

/** One line on standard error: replaced while it goes on and then gone on a terminal, elsewhere said once. */
async function withProgress<T>(
  timeout: number,
  work: (onWaiting: (what: readonly string[]) => void) => Promise<T>,
): Promise<T> {
  const { stderr } = process;
  if (!stderr.isTTY) {
    stderr.write(`checking, for ${formatDuration(longest(timeout))} at most\n`);
    return work(() => {});
  }
  try {
    return await work((what) => {
      const text = `waiting for ${what.join(", ")}`;
      stderr.write(`\r\x1b[2K${text.slice(0, (stderr.columns || WIDTH) - 1)}`);
    });
  } finally {
    stderr.write("\r\x1b[2K");
  }
}

/** At once: nothing was begun that would have to be finished. */
function leave(signal: string): never {
  process.stderr.write(`\noptout-relay: ${signal} came before all was checked; nothing was changed.\n`);
  process.exit(1);
}

function parseTimeout(value: string): number {
  const timeout = parseDuration(value);
  if (timeout !== undefined && timeout > 0 && timeout <= MAX_TIMEOUT_MS) return timeout;
  throw new InvalidArgumentError(
    `It must be a duration up to ${formatDuration(MAX_TIMEOUT_MS)}, such as 500ms or 10s.`,
  );
}

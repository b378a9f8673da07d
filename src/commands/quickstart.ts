import { Command, InvalidArgumentError } from "commander";
import { broker } from "../config/fields.ts";
import { OptoutError } from "../errors.ts";
import { createLogger, silentLogger } from "../observability/logger.ts";
import { createProgress } from "../quickstart/progress.ts";
import { type QuickstartResult, quickstart } from "../quickstart/quickstart.ts";
import { stopSignal } from "./lifecycle.ts";

interface QuickstartCommandOptions {
  events: number;
  exit?: boolean;
  brokers?: string[];
  registry?: string;
  verbose?: boolean;
}

const MAX_EVENTS = 100_000;

const parseEvents = (value: string): number => {
  const events = Number(value);
  if (/^\d+$/.test(value) && events >= 1 && events <= MAX_EVENTS) return events;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_EVENTS}.`);
};

const parseBrokers = (value: string): string[] => {
  const brokers = value.split(",").map((each) => each.trim());
  if (brokers.every((each) => broker().safeParse(each).success)) return brokers;
  throw new InvalidArgumentError(
    'It must be host:port, such as "localhost:9092", or several with commas between.',
  );
};

const whatToTry = ({ gatewayUrl, relayUrl, simulatorUrl, configFile }: QuickstartResult): string => `
All of it still runs. Try:

  curl ${gatewayUrl}/opt-out -H 'Content-Type: application/json' -d '{"phone":"(212) 555-0123","source":"web"}'
  curl ${simulatorUrl}/_sim/production/entries
  curl ${relayUrl}/metrics
  curl ${relayUrl}/state

  npx optout-relay trace "(212) 555-0123" --config ${configFile}
  npx optout-relay ledger --config ${configFile}
  npx optout-relay redrive --all --dry-run --config ${configFile}

The file is gone when this ends. Ctrl-C stops it.`;

const HELP = `
  optout-relay quickstart --exit
  optout-relay quickstart --brokers localhost:9092 --registry http://localhost:8081

Without --exit all of it runs until Ctrl-C, and it prints how to send opt-outs to
it and how to use trace, ledger and redrive with its Kafka. With --brokers its
topics are named quickstart-…, and deleted at the end.

Exit codes: 0 done, 1 an opt-out isn't where it belongs or something failed, 2
wrong usage, 130 or 143 stopped by Ctrl-C or SIGTERM before the samples were
delivered.
`;

const EXIT_CODES: Record<string, number> = { SIGINT: 130, SIGTERM: 143 };

/** `optout-relay quickstart`: the whole product on one machine. */
export const quickstartCommand = (): Command =>
  new Command("quickstart")
    .description(
      "run all of it on this machine: Kafka, registry, a simulated CXone, gateway, relay and sample opt-outs",
    )
    .option(
      "--exit",
      "stop when the samples are delivered; exit code 0 only if every valid one is on every list",
    )
    .option("--events <n>", "how many sample opt-outs", parseEvents, 300)
    .option("--brokers <list>", "use these brokers (host:port,…) instead of starting one", parseBrokers)
    .option("--registry <url>", "with --brokers: a Confluent-compatible schema registry")
    .option("--verbose", "show the relay's log on standard error")
    .addHelpText("after", HELP)
    .action(runQuickstart);

async function runQuickstart(options: QuickstartCommandOptions): Promise<void> {
  const { events, exit, brokers, registry, verbose } = options;
  if (registry !== undefined && brokers === undefined) {
    throw new OptoutError(
      "usage",
      "--registry is for a Kafka of your own: name its brokers with --brokers, or leave --registry out.",
    );
  }
  const stopping = new AbortController();
  const { signal } = stopping;
  const progress = createProgress(process.stdout, signal);
  const stopped = stopSignal().then((name) => {
    progress.line("Stopping.");
    stopping.abort(name);
  });
  progress.line("Optout Relay quickstart");
  progress.line();
  const logger = verbose ? createLogger({ level: "info", format: "text" }, process.stderr) : silentLogger();
  try {
    await quickstart({ events, brokers, registry, progress, logger, signal }, async (result) => {
      if (!result.ok) process.exitCode = 1;
      if (exit) return;
      progress.line(whatToTry(result));
      await stopped;
    });
  } catch (error) {
    if (!signal.aborted) throw error;
    progress.line("Stopped.");
    // kafkajs would sleep out the retries of a connection before the process could end.
    process.exit(EXIT_CODES[signal.reason] ?? 1);
  }
}

import { Command, InvalidArgumentError } from "commander";
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

const whatToTry = ({ gatewayUrl, relayUrl, simulatorUrl }: QuickstartResult): string => `
All of it still runs. Try:

  curl ${gatewayUrl}/opt-out -H 'Content-Type: application/json' -d '{"phone":"(212) 555-0123","source":"web"}'
  curl ${simulatorUrl}/_sim/production/entries
  curl ${relayUrl}/metrics
  curl ${relayUrl}/state

Ctrl-C stops it.`;

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
    .option("--brokers <list>", "use these brokers (host:port,…) instead of starting one", (value) =>
      value.split(","),
    )
    .option("--registry <url>", "with --brokers: a Confluent-compatible schema registry")
    .option("--verbose", "show the relay's log on standard error")
    .action(async ({ events, exit, brokers, registry, verbose }: QuickstartCommandOptions) => {
      const progress = createProgress(process.stdout);
      const stopping = new AbortController();
      const stopped = stopSignal().then(() => stopping.abort(new OptoutError("usage", "stopped")));
      progress.line("Optout Relay quickstart");
      progress.line();
      await quickstart(
        {
          events,
          brokers,
          registry,
          progress,
          logger: verbose ? createLogger({ level: "info", format: "text" }, process.stderr) : silentLogger(),
          signal: stopping.signal,
        },
        async (result) => {
          if (!result.ok) process.exitCode = 1;
          if (exit) return;
          progress.line(whatToTry(result));
          await stopped;
          progress.line("Stopping.");
        },
      );
    });

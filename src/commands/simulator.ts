import { Command, InvalidArgumentError, Option } from "commander";
import { createSimulator } from "../simulator/index.ts";
import { stopSignal } from "./lifecycle.ts";

interface SimulatorCommandOptions {
  port: number;
  host: string;
  environments: string[];
  requestsPerSecond: number;
}

const parsePort = (value: string): number => {
  const port = Number(value);
  if (!/^\d+$/.test(value) || port > 65_535)
    throw new InvalidArgumentError("A port is a number from 0 to 65535.");
  return port;
};

const parseRate = (value: string): number => {
  const rate = Number(value);
  if (!(rate > 0 && rate <= 1_000_000))
    throw new InvalidArgumentError("It must be over 0 and at most 1000000.");
  return rate;
};

const parseNames = (value: string): string[] =>
  value
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");

const DEFAULT_NAMES = ["production", "us-west", "eu-central"];

const HELP = `
  optout-relay simulator --environments production,us-west

The environments of a relay's configuration that use it:

  environments:
    - name: production
      baseUrl: http://127.0.0.1:9099/production
      auth: {clientId: demo, clientSecret: demo}     # it takes any
    - name: us-west
      baseUrl: http://127.0.0.1:9099/us-west
      auth: {clientId: demo, clientSecret: demo}

What is on a list, and what came in:

  curl http://127.0.0.1:9099/_sim/production/entries
  curl http://127.0.0.1:9099/_sim/production/requests

Faults worth trying. Each PUT replaces the environment's whole set, {} ends it:

  FAULTS=http://127.0.0.1:9099/_sim/us-west/faults
  curl -X PUT $FAULTS -d '{"rejectPhones":["+12125550123"]}'  # refuses it
  curl -X PUT $FAULTS -d '{"outage":true}'                    # cuts connections
  curl -X PUT $FAULTS -d '{"outage":"503"}'                   # answers 503
  curl -X PUT $FAULTS -d '{"errorRate":0.2,"latencyMs":300}'  # 500, 503
  curl -X PUT $FAULTS -d '{"dropAfterApply":0.5}'             # answer lost
  curl -X PUT $FAULTS -d '{"requestsPerSecond":2}'            # 429 above it
  curl -X PUT $FAULTS -d '{}'

Also jitterMs, shortAck, tokenTtlSeconds, retryAfter, duplicates and dncGroup.
What it refuses is rejected by the relay and becomes a dead letter; the rest is
retried. DELETE /_sim empties the lists and ends all faults.

Exit codes: 0 stopped by a signal, 1 failed, 2 wrong usage.
`;

const banner = (url: string, environments: readonly { name: string; baseUrl: string }[]): string => {
  const width = Math.max(...environments.map(({ name }) => name.length));
  const rows = environments.map(({ name, baseUrl }) => `  ${name.padEnd(width)}  ${baseUrl}`);
  const first = environments[0] ?? { name: "", baseUrl: url };
  return `Simulated CXone with ${environments.length} environment${environments.length === 1 ? "" : "s"}. Ctrl-C stops it.

${rows.join("\n")}

Each answers both dialects, compliance-dnc and admin-dnc-groups (with any tenant, group and access key).

Put a number on the first one's list (any client id and secret will do):

  TOKEN=$(curl -s ${first.baseUrl}/oauth/token \\
    -d grant_type=client_credentials -d client_id=demo -d client_secret=demo -d scope=dnc:write |
    sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
  curl -i ${first.baseUrl}/api/v2/compliance/dnc/entries \\
    -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -H 'Idempotency-Key: demo-1' \\
    -d '[{"phone":"+12125550123","type":"dncl","source":"web"}]'

Look inside, break it, start over:

  curl ${url}/_sim/${first.name}/entries
  curl ${url}/_sim/${first.name}/requests
  curl -X PUT ${url}/_sim/${first.name}/faults -d '{"latencyMs":200,"errorRate":0.1,"dropAfterApply":0.05}'
  curl -X DELETE ${url}/_sim
`;
};

/** `optout-relay simulator`: a local CXone until a signal stops it. */
export const simulatorCommand = (): Command =>
  new Command("simulator")
    .description("run a local CXone with as many environments as you name, each speaking both dialects")
    .option("--port <port>", "port to listen on, 0 for any that is free", parsePort, 9099)
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .addOption(
      new Option("--environments <names>", "comma-separated names")
        .argParser(parseNames)
        .default(DEFAULT_NAMES, DEFAULT_NAMES.join(",")),
    )
    .option("--requests-per-second <n>", "quota of each environment", parseRate, 100)
    .addHelpText("after", HELP)
    .action(async ({ port, host, environments, requestsPerSecond }: SimulatorCommandOptions) => {
      const simulator = await createSimulator({
        host,
        port,
        environments: environments.map((name) => ({ name, requestsPerSecond })),
      });
      const stopped = stopSignal();
      const named = environments.map((name) => ({ name, baseUrl: simulator.baseUrl(name) }));
      process.stdout.write(banner(simulator.url, named));
      await stopped;
      await simulator.close();
    });

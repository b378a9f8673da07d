import { Command } from "commander";
import { createLogger } from "../observability/logger.ts";
import { startObservabilityServer } from "../observability/server.ts";
import { startTracing } from "../observability/trace-export.ts";
import { createRelay } from "../relay/relay.ts";
import { VERSION } from "../version.ts";
import { stopSignal } from "./lifecycle.ts";
import { type ConfigOption, configFrom, withConfigOption } from "./options.ts";

const HELP = `
The smallest configuration:

  kafka: {brokers: ["kafka-1:9092"]}
  environments:
    - name: production
      baseUrl: https://api.nice.incontact.com
      auth: {clientId: relay, clientSecret: "\${CXONE_SECRET}"}

All its sections:

  kafka           brokers, groupId, TLS (ssl) and login (sasl)
  topics          names: events, status, deadLetter
  schemaRegistry  url; without it events and results are JSON
  normalization   defaultRegion, regionBySource: of numbers without country code
  batching        maxEntries, maxWait: an opt-out waits in its batch until there
                  are so many (50), or for so long (10s), before it is sent
  environments    where to send: dialect, auth, requestsPerSecond, retry
  server          host, port and adminToken of what is below
  gateway         host, port, apiKeys and limits: optout-relay gateway --help
  logging         level, format (json or text), phoneHashSecret

All keys: schemas/config.schema.json. A variable sets any of them: OPTOUT_, then
the key in upper snake case, "__" between levels and a number for a list's item:

  OPTOUT_KAFKA__BROKERS=a:9092,b:9092
  OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET=…

While it runs it serves, at 127.0.0.1:9464 unless server.host and server.port
say otherwise:

  /readyz   503 and the reason while it isn't ready: starting, draining, not in
            the consumer group. An environment that is down doesn't make it so.
  /livez    503 when only a restart helps
  /         a page for people: who is out, since when, how many wait, what to do
  /state    where each partition stands; what each environment has queued, and
            why its lane is closed, since when and until when
  /metrics  for Prometheus; optout_environment_oldest_pending_timestamp_seconds
            is the one to alert on

To send nothing to one environment for a while, and go on later:

  curl -X POST http://127.0.0.1:9464/environments/production/pause
  curl -X POST http://127.0.0.1:9464/environments/production/resume

Opt-outs for it wait, and are sent after that; the other environments get theirs
meanwhile, up to batching.maxPendingEntries in each partition and 128 MiB of
records in all. A pause holds for this one process, so ask every replica, and
until it is resumed or the process ends: a relay that starts pauses nothing.
With server.adminToken both take "Authorization: Bearer <token>". Without it
callers on this machine need none, and if server.host isn't a loopback address,
nobody can pause.

Traces go to an OpenTelemetry collector if one is named in OpenTelemetry's own
variables, over OTLP with http/protobuf:

  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318
  OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=0.1

Each batch has a span with links to the traceparent headers of its events, and
one within it for each request; environments and status records get its
traceparent. Log lines have trace_id and span_id then. At level debug there is a
line for each batch, request and event, with its phone masked and hashed
(phoneHash: HMAC-SHA-256 with logging.phoneHashSecret; trace shows a number's).

SIGTERM or Ctrl-C ends it in order, within half a minute: requests under way
are finished, offsets committed, the group left. A second one, or kill -9, ends
it at once and loses nothing: the next process sends what wasn't acknowledged
again, under the same idempotency keys.

Exit codes: 0 stopped by a signal, 1 failed (standard error says why), 2 wrong
usage.
`;

/** `optout-relay relay`: runs until a signal stops it, or until it can't go on, which is an error. */
export const relayCommand = (): Command =>
  withConfigOption(new Command("relay"))
    .description("consume opt-outs and put them on every environment's do-not-call list")
    .addHelpText("after", HELP)
    .action(async (options: ConfigOption) => {
      const config = configFrom(options);
      const logger = createLogger(config.logging);
      const traces = await startTracing("optout-relay", logger);
      const relay = createRelay(config, { logger, version: VERSION });
      const stopped = stopSignal();
      const server = await startObservabilityServer(relay, config.server);
      logger.info({ url: server.url }, "metrics and health are served");
      let starting = true;
      try {
        // A signal during the start ends it too: the brokers or the registry may be long in coming.
        const started = relay.start().then(() => {
          starting = false;
          return relay.failed;
        });
        const end = await Promise.race([stopped, started]);
        if (typeof end !== "string") throw end;
        logger.info({ signal: end }, "stopping");
      } finally {
        await relay.stop();
        await server.close();
        await traces.stop();
      }
      logger.info("stopped");
      // kafkajs would sleep out the retries of a connection before the process could end.
      if (starting) process.exit();
    });

import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import type { Admin } from "kafkajs";
import { rereadable } from "../config/reread.ts";
import type { Config } from "../config/schema.ts";
import { OptoutError } from "../errors.ts";
import { createGateway } from "../gateway/gateway.ts";
import { closeKafka, createKafka } from "../kafka/client.ts";
import { explainKafkaError } from "../kafka/errors.ts";
import { createRecordProducer, type RecordProducer } from "../kafka/producer.ts";
import { requireTopics } from "../kafka/topics.ts";
import { createLogger, type Logger } from "../observability/logger.ts";
import { startTracing } from "../observability/trace-export.ts";
import { stopSignal } from "./lifecycle.ts";
import { type ConfigOption, configFrom, withConfigOption } from "./options.ts";

const RECONNECT_PAUSE_MS = 3_000;
/** Attempts from one log line to the next; with kafkajs' own retries, about two minutes. */
const ATTEMPTS_PER_LINE = 10;

const HELP = `
POST /opt-out takes one opt-out, as JSON or as a form, and answers 202 once
Kafka has it on all in-sync replicas:

  curl http://127.0.0.1:8080/opt-out -H 'X-API-Key: <key>' \\
       -H 'Content-Type: application/json' -H 'Idempotency-Key: form-4711' \\
       -d '{"phone":"(212) 555-0123","source":"web"}'

X-API-Key is needed only if gateway.apiKeys are configured. A repeat under the
same Idempotency-Key gets the same 202; another opt-out under it gets 422.

From an IVR: {"phone":"2125550123","region":"US","source":"ivr"}

Also: /openapi.json (all of it described), /livez, /readyz (the log says why
not) and /metrics. The keys under "gateway" of the configuration:

  gateway:
    host: 127.0.0.1          # 0.0.0.0 for callers on other machines
    port: 8080
    apiKeys: ["\${file:/run/secrets/web-key}"]   # none: no key is asked for
    requestsPerSecond: 1000  # of each key, else each address; above it: 429
    trustedProxies: []       # whose X-Forwarded-For is believed: 10.0.0.0/8
    cors: {origins: []}      # https://www.example.com: its scripts may call

Traces are exported as the relay does it (optout-relay relay --help), and a
caller's traceparent goes on with the opt-out.

SIGTERM or SIGINT finishes what is under way, then ends it (exit code 0); a
second one ends it at once. Exit codes: 1 failed, 2 wrong usage.
`;

/** `optout-relay gateway`: takes opt-outs over HTTP until a signal stops it. */
export const gatewayCommand = (): Command =>
  withConfigOption(new Command("gateway"))
    .description("take opt-outs over HTTP (POST /opt-out) and put them on the events topic")
    .addHelpText("after", HELP)
    .action(async (options: ConfigOption) => {
      const config = configFrom(options);
      await runGateway(config, createLogger(config.logging));
    });

async function runGateway(config: Config, logger: Logger): Promise<void> {
  const traces = await startTracing("optout-gateway", logger);
  const kafka = createKafka(config.kafka, logger, rereadable(config, ["kafka", "sasl"], logger));
  const admin = kafka.admin();
  const producer = createRecordProducer(kafka);
  const stopped = stopSignal();
  const stopping = new AbortController();
  let connecting = true;
  // Listening before Kafka is reached: callers get a 503 that says why, instead of a refused connection.
  const gateway = await createGateway({
    config,
    producer,
    logger,
    apiKeys: rereadable(config, ["gateway", "apiKeys"], logger),
    checkKafka: async () => {
      // Topics may be seen before the producer is there, and then the first callers would be turned away.
      if (connecting) throw new OptoutError("kafka_unreachable", "The gateway is still connecting to Kafka.");
      await requireTopics(admin, config, ["events"]);
    },
  });
  logger.info({ url: gateway.url }, "gateway is listening");
  try {
    const connected = connect(admin, producer, { config, logger, signal: stopping.signal }).then(() => {
      connecting = false;
    });
    const signal = await Promise.race([stopped, connected.then(() => stopped)]);
    logger.info({ signal }, "stopping: requests under way are finished");
  } finally {
    stopping.abort();
    await gateway.close();
    await Promise.allSettled([producer.disconnect(), admin.disconnect()]);
    closeKafka(kafka);
    await traces.stop();
  }
  logger.info("stopped");
  // kafkajs would sleep out the retries of a connection before the process could end.
  if (connecting) process.exit();
}

interface Connecting {
  config: Config;
  logger: Logger;
  signal: AbortSignal;
}

/** Waits for brokers that are away; rejects for what waiting can't heal, such as wrong credentials or a missing topic. */
async function connect(
  admin: Admin,
  producer: RecordProducer,
  { config, logger, signal }: Connecting,
): Promise<void> {
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      await admin.connect();
      await requireTopics(admin, config, ["events"]);
      await producer.connect();
      logger.info({ topic: config.topics.events }, "connected to Kafka");
      return;
    } catch (error) {
      if (signal.aborted) return;
      const explained = explainKafkaError(error, { brokers: config.kafka.brokers });
      if (!mayHeal(explained)) throw explained;
      if (attempt % ATTEMPTS_PER_LINE === 0) logger.warn(`${explained.message} The gateway keeps trying.`);
    }
    await sleep(RECONNECT_PAUSE_MS, undefined, { signal }).catch(() => {});
  }
}

const mayHeal = (error: OptoutError): boolean => error.code === "kafka_unreachable";

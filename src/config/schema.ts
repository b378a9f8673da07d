import { z } from "zod";
import {
  broker,
  duration,
  httpUrl,
  listenHost,
  name,
  oneOf,
  port,
  rate,
  region,
  secret,
  size,
  text,
  topic,
  whole,
} from "./fields.ts";
import { formatDuration } from "./units.ts";

const second = 1_000;
const minute = 60 * second;
const KiB = 1_024;
const MiB = 1_024 * KiB;

/**
 * Contradictions between keys are looked for even if some key is wrong by itself, so that one start tells everything.
 * The values may therefore still be of any type, whatever zod's types say.
 */
const evenIfFaulty = { when: ({ value }: { value: unknown }) => typeof value === "object" && value !== null };

const togetherOrNotAt = (what: string) => `expected ${what}: give both or neither`;

const ssl = z
  .strictObject({
    caFile: name("a file")
      .exactOptional()
      .describe("PEM file of the authorities to trust instead of the system's."),
    certFile: name("a file").exactOptional().describe("PEM file of the client certificate."),
    keyFile: name("a file").exactOptional().describe("PEM file of the client certificate's key."),
    servername: name("a host name").exactOptional().describe("Name expected in the broker's certificate."),
    rejectUnauthorized: z
      .boolean()
      .default(true)
      .describe("false accepts any certificate: never in production."),
  })
  .superRefine((value, context) => {
    if ((value.certFile === undefined) === (value.keyFile === undefined)) return;
    const absent = value.certFile === undefined ? "certFile" : "keyFile";
    context.addIssue({ code: "custom", path: [absent], message: togetherOrNotAt("certFile with keyFile") });
  }, evenIfFaulty);

const saslMechanisms = ["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"] as const;

const sasl = z.discriminatedUnion(
  "mechanism",
  [
    z.strictObject({
      mechanism: oneOf(["plain", "scram-sha-256", "scram-sha-512"]),
      username: name("a user name"),
      password: secret(),
    }),
    z.strictObject({
      mechanism: z.literal("oauthbearer"),
      tokenUrl: httpUrl({ example: "https://login.example.com/oauth2/token", base: false }),
      clientId: name("a client id"),
      clientSecret: secret(),
      scope: name("a scope").exactOptional(),
    }),
  ],
  { error: `expected one of: ${saslMechanisms.join(", ")}` },
);

const kafka = z.strictObject({
  brokers: z
    .array(broker(), "expected a list of host:port")
    .min(1, "expected at least one host:port")
    .describe("Bootstrap brokers, host:port."),
  clientId: name("a client id").default("optout-relay"),
  groupId: name("a consumer group")
    .default("optout-relay")
    .describe("Consumer group: all replicas share it."),
  ssl: z
    .union([z.boolean(), ssl], {
      error:
        "expected true, false or a mapping with caFile, certFile, keyFile, servername, rejectUnauthorized",
    })
    .default(false),
  sasl: sasl.exactOptional(),
  sessionTimeout: duration(second, 30 * minute)
    .prefault("10s")
    .describe(
      "Silence after which the brokers give this member's partitions to another. Most brokers refuse less than 6s.",
    ),
});

const topics = z
  .strictObject({
    events: topic().default("opt-out-events").describe("Opt-outs in."),
    status: topic().default("opt-out-status").describe("One outcome per event."),
    deadLetter: topic().default("opt-out-dead-letter").describe("Rejected events, whole."),
  })
  .superRefine((value, context) => {
    const seen = new Map<string, string>();
    for (const key of ["events", "status", "deadLetter"] as const) {
      const topicName: unknown = value[key];
      if (typeof topicName !== "string") continue;
      const other = seen.get(topicName);
      if (other === undefined) seen.set(topicName, key);
      else
        context.addIssue({
          code: "custom",
          path: [key],
          message: `expected another topic than topics.${other}`,
        });
    }
  }, evenIfFaulty)
  .prefault({});

const schemaRegistry = z
  .strictObject({
    url: httpUrl({ example: "http://localhost:8081", base: true }),
    username: name("a user name").exactOptional(),
    password: secret().exactOptional(),
    requestTimeout: duration(10, 5 * minute).prefault("5s"),
  })
  .superRefine((value, context) => {
    if ((value.username === undefined) === (value.password === undefined)) return;
    const absent = value.username === undefined ? "username" : "password";
    context.addIssue({ code: "custom", path: [absent], message: togetherOrNotAt("username with password") });
  }, evenIfFaulty)
  .exactOptional()
  .describe("Absent: events and results are JSON only.");

const sourceName = text(/^[^\s\p{C}]{1,64}$/u, "expected a source as a key: one word of 1 to 64 characters");

const normalization = z
  .strictObject({
    defaultRegion: region().default("US").describe("Region of numbers written without a country code."),
    // Without a prototype: sources come from outside, and the source "constructor" must find nothing here.
    regionBySource: z
      .record(sourceName, region())
      .transform(
        (regions): Record<string, z.output<ReturnType<typeof region>>> =>
          Object.assign(Object.create(null), regions),
      )
      .prefault({})
      .describe("Region by the event's source, before the default."),
  })
  .prefault({});

const batching = z
  .strictObject({
    maxEntries: whole(1, 1_000).default(50).describe("Entries in one request."),
    maxWait: duration(1, 60 * minute)
      .prefault("10s")
      .describe("Age of its oldest event at which a batch is cut."),
    maxBytes: size(KiB, 16 * MiB)
      .prefault("1MiB")
      .describe("Size of one request's body."),
    maxPendingEntries: whole(1, 1_000_000)
      .default(50_000)
      .describe("Entries of one partition held in memory before it pauses; not less than maxEntries."),
  })
  .superRefine(({ maxEntries, maxPendingEntries }, context) => {
    if (!(maxPendingEntries < maxEntries)) return;
    const message = `expected at least batching.maxEntries (${maxEntries}), or no batch could fill`;
    context.addIssue({ code: "custom", path: ["maxPendingEntries"], message });
  }, evenIfFaulty)
  .prefault({});

const retry = z
  .strictObject({
    initialBackoff: duration(1, 60 * minute).prefault("500ms"),
    maxBackoff: duration(1, 60 * minute)
      .prefault("60s")
      .describe("Not less than initialBackoff."),
  })
  .superRefine(({ initialBackoff, maxBackoff }, context) => {
    if (typeof initialBackoff !== "number" || typeof maxBackoff !== "number") return;
    if (maxBackoff >= initialBackoff) return;
    const message = `expected at least retry.initialBackoff (${formatDuration(initialBackoff)})`;
    context.addIssue({ code: "custom", path: ["maxBackoff"], message });
  }, evenIfFaulty)
  .prefault({})
  .describe("Pauses between attempts: exponential with full jitter, without end.");

/**
 * The APIs an environment can speak. One that needs other keys than these makes `environment` a
 * `z.discriminatedUnion("dialect", …)` of strict objects sharing `environmentCommon`.
 */
const dialects = ["compliance-dnc"] as const;
export type Dialect = (typeof dialects)[number];

const environmentCommon = {
  name: text(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/,
    "expected a short name of letters, digits, - and _ (at most 63, the first a letter or digit)",
  ).describe(
    "In metrics, results and the ledger. Renaming an environment makes it a new one, which has acknowledged nothing.",
  ),
  baseUrl: httpUrl({ example: "https://api.nice.incontact.com", base: true }),
  requestsPerSecond: rate(0.01, 10_000)
    .default(100)
    .describe("This tenant's quota, over all relay replicas together."),
  maxConcurrency: whole(1, 1_024).default(64).describe("Requests under way at once, per replica."),
  requestTimeout: duration(10, 10 * minute).prefault("30s"),
  retry,
};

const environment = z.strictObject({
  ...environmentCommon,
  dialect: oneOf(dialects).default("compliance-dnc"),
  auth: z.strictObject({
    clientId: name("a client id"),
    clientSecret: secret(),
    scope: name("a scope").default("dnc:write"),
    tokenUrl: httpUrl({ example: "https://api.nice.incontact.com/oauth/token", base: false })
      .exactOptional()
      .describe("Absent: baseUrl/oauth/token."),
  }),
});

const environments = z
  .array(environment, "expected a list of environments, at least one")
  .min(1, "expected at least one environment")
  .max(64, "expected at most 64 environments")
  .superRefine((list, context) => {
    const seen = new Map<string, number>();
    if (!Array.isArray(list)) return;
    list.forEach((item: unknown, index) => {
      const label = typeof item === "object" && item !== null && "name" in item ? item.name : undefined;
      if (typeof label !== "string") return;
      const other = seen.get(label);
      if (other === undefined) seen.set(label, index);
      else {
        const message = `expected a unique name: environments[${other}] has this one`;
        context.addIssue({ code: "custom", path: [index, "name"], message });
      }
    });
  }, evenIfFaulty)
  .describe("Every event goes to every one of these.");

const apiKey = text(
  /^[\x21-\x7e]+$/,
  "expected a key of visible ASCII characters, without blanks, not empty",
);

/** The whole configuration. Strict at every level; input is what the file holds, output has milliseconds and bytes. */
export const configSchema = z.strictObject({
  kafka,
  topics,
  schemaRegistry,
  normalization,
  batching,
  environments,
  server: z
    .strictObject({ host: listenHost().default("127.0.0.1"), port: port().default(9_464) })
    .prefault({})
    .describe("The relay's metrics, health and console."),
  gateway: z
    .strictObject({
      host: listenHost().default("127.0.0.1"),
      port: port().default(8_080),
      apiKeys: z
        .array(apiKey, "expected a list of keys")
        .default([])
        .describe("Keys callers must present; none: no key is asked for."),
    })
    .prefault({})
    .describe("The HTTP intake."),
  logging: z
    .strictObject({
      level: oneOf(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
      format: oneOf(["json", "text"]).default("json"),
    })
    .prefault({}),
});

/** The configuration as the program uses it: complete, durations in milliseconds, sizes in bytes, URLs without a trailing slash. */
export type Config = z.output<typeof configSchema>;
/** The configuration as a file holds it. */
export type ConfigInput = z.input<typeof configSchema>;
export type KafkaConfig = Config["kafka"];
export type TopicsConfig = Config["topics"];
export type SchemaRegistryConfig = NonNullable<Config["schemaRegistry"]>;
export type NormalizationConfig = Config["normalization"];
export type BatchingConfig = Config["batching"];
export type EnvironmentConfig = Config["environments"][number];
export type GatewayConfig = Config["gateway"];
export type LoggingConfig = Config["logging"];

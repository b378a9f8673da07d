import { z } from "zod";
import type { DialectDefinition, EnvironmentInputOf, EnvironmentOf } from "../delivery/dialects/dialect.ts";
import { dialects } from "../delivery/dialects/index.ts";
import { whicheverIsMeant } from "./choice.ts";
import { environmentKeys } from "./environment-keys.ts";
import {
  bothOrNeither,
  broker,
  duration,
  evenIfFaulty,
  httpUrl,
  listenHost,
  name,
  oneOf,
  port,
  region,
  secret,
  size,
  text,
  topic,
  whole,
} from "./fields.ts";
import { apiKey, gateway } from "./gateway-keys.ts";

const second = 1_000;
const minute = 60 * second;
/** The longest that `batching.maxWait` may be, in milliseconds. */
export const MAX_BATCH_WAIT_MS = 60 * minute;
const KiB = 1_024;
const MiB = 1_024 * KiB;

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
  .superRefine(bothOrNeither("certFile", "keyFile"), evenIfFaulty);

const saslMechanisms = ["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"] as const;

const saslOptions = [
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
] as const;

const sasl = z
  .discriminatedUnion("mechanism", saslOptions, { error: `expected one of: ${saslMechanisms.join(", ")}` })
  .superRefine(whicheverIsMeant("mechanism", saslOptions), evenIfFaulty);

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
  .superRefine(bothOrNeither("username", "password"), evenIfFaulty)
  .exactOptional()
  .describe("Absent: events and results are JSON only.");

const sourceName = text(/^[^\s\p{C}]{1,64}$/u, "expected a source as a key: one word of 1 to 64 characters");

const normalization = z
  .strictObject({
    defaultRegion: region().prefault("US").describe("Region of numbers written without a country code."),
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
    maxWait: duration(1, MAX_BATCH_WAIT_MS)
      .prefault("10s")
      .describe("Age of its oldest event at which a batch is cut."),
    maxBytes: size(KiB, 16 * MiB)
      .prefault("1MiB")
      .describe("Size of one request's body."),
    maxPendingEntries: whole(1, 1_000_000)
      .default(50_000)
      .describe(
        "Events of one partition held in memory before it pauses, if 128 MiB of records, shared by the partitions of a process, aren't reached before; not less than maxEntries.",
      ),
  })
  .superRefine(({ maxEntries, maxPendingEntries }, context) => {
    if (!(maxPendingEntries < maxEntries)) return;
    const message = `expected at least batching.maxEntries (${maxEntries}), or no batch could fill`;
    context.addIssue({ code: "custom", path: ["maxPendingEntries"], message });
  }, evenIfFaulty)
  .prefault({});

/**
 * One environment, of one of these dialects: each has the common keys and its own, and no other's. Without the key
 * `dialect` the first is meant.
 */
function environmentOf<Definition extends DialectDefinition>(
  definitions: readonly Definition[],
): z.ZodType<EnvironmentOf<Definition>, EnvironmentInputOf<Definition>>;
function environmentOf(definitions: readonly DialectDefinition[]): z.ZodType {
  const [first, ...others] = definitions;
  if (first === undefined) throw new RangeError("a configuration needs a dialect");
  const names = definitions.map(({ name }) => name);
  const objectOf = ({ keys }: DialectDefinition, dialect: z.ZodType<string>) =>
    z.strictObject({ ...environmentKeys, dialect: dialect.describe("The API that it speaks."), ...keys });
  const options = [
    objectOf(first, z.literal(first.name).default(first.name)),
    ...others.map((each) => objectOf(each, z.literal(each.name))),
  ] as const;
  return z
    .discriminatedUnion("dialect", options, { error: `expected one of: ${names.join(", ")}` })
    .superRefine(whicheverIsMeant("dialect", options, environmentKeys), evenIfFaulty);
}

const environmentsOf = <Definition extends DialectDefinition>(definitions: readonly Definition[]) =>
  z
    .array(environmentOf(definitions), "expected a list of environments, at least one")
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

/**
 * The whole configuration, with environments of the dialects given. Strict at every level; input is what the file holds,
 * output has milliseconds and bytes.
 */
export const configSchemaFor = <Definition extends DialectDefinition>(definitions: readonly Definition[]) =>
  z.strictObject({
    kafka,
    topics,
    schemaRegistry,
    normalization,
    batching,
    environments: environmentsOf(definitions),
    server: z
      .strictObject({
        host: listenHost().default("127.0.0.1"),
        port: port().default(9_464),
        adminToken: apiKey
          .exactOptional()
          .describe(
            "Bearer token that pausing and resuming an environment takes. Absent: with a loopback host anybody on the machine may, else nobody.",
          ),
      })
      .prefault({})
      .describe("The relay's metrics, health and console."),
    gateway,
    logging: z
      .strictObject({
        level: oneOf(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
        format: oneOf(["json", "text"]).default("json"),
        phoneHashSecret: secret()
          .exactOptional()
          .describe(
            "Key of the hash by which lines about one phone are found: HMAC-SHA-256 of its E.164 form, 16 hex digits. Absent: a key that the process makes up.",
          ),
      })
      .prefault({}),
  });

export const configSchema = configSchemaFor(dialects);

/** The configuration with environments of these dialects. */
export type ConfigOf<Definition extends DialectDefinition> = z.output<
  ReturnType<typeof configSchemaFor<Definition>>
>;
/** The configuration with environments of whatever dialects. */
export type AnyConfig = ConfigOf<DialectDefinition>;
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

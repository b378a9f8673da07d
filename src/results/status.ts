import { z } from "zod";
import { OptoutError } from "../errors.ts";
import { REJECT_REASONS } from "../events/event.ts";
import type { TextWithEnd } from "../kafka/outgoing.ts";
import { readPackageFile } from "../package-files.ts";
import type { Registry } from "../registry/registry.ts";
import { STATUS_AVRO } from "../registry/subjects.ts";
import { createStatusWriter } from "./status-writer.ts";

const time = z.string().meta({ format: "date-time" });
/** As text, and null rather than absent: the same in JSON and Avro. */
const textOrNull = z.string().nullable();

const environmentResult = z
  .object({
    name: z.string(),
    outcome: z.enum(["accepted", "rejected"]).meta({ title: "EnvironmentOutcome" }),
    attempts: z
      .int32()
      .nullable()
      .describe(
        "Requests it took. Null, like the fields below: acknowledged before a restart of the relay, which keeps no details.",
      ),
    httpStatus: z.int32().nullable().describe("Of the last answer."),
    requestId: textOrNull.describe("X-Request-Id of the last answer."),
    acknowledgedAt: time.nullable().describe("RFC 3339."),
  })
  .meta({ title: "EnvironmentResult" });

const origin = z
  .object({
    topic: z.string(),
    partition: z.int32().nonnegative(),
    offset: z.int().nonnegative(),
    timestamp: time.describe("The record's timestamp, RFC 3339."),
  })
  .meta({ title: "Origin" });

/**
 * A record of the status topic. `schemas/opt-out-status.*` are written from it (`schemas/README.md` says how). Offsets
 * are numbers, in JSON and (as long) in Avro: what Kafka counts stays far below 2^53. Times are RFC 3339 text in both,
 * so that a reader finds the same value whatever the encoding.
 */
export const statusRecord = z
  .object({
    statusId: z.string().describe("topic:partition:offset of the event. Discard repeats by it."),
    outcome: z
      .enum(["delivered", "rejected", "partially_delivered"])
      .meta({ title: "Outcome" })
      .describe(
        "delivered: on the list of every environment. partially_delivered: refused by some. rejected: on none.",
      ),
    eventId: textOrNull.describe("As the producer gave it."),
    phone: z
      .string()
      .regex(/^\+[1-9]\d{1,14}$/)
      .nullable()
      .describe("E.164; null if the event has no valid phone."),
    source: z.string().describe("web, ivr, or another word; unknown if the event doesn't say."),
    reason: textOrNull.describe(
      `Code of why it was not delivered everywhere: ${REJECT_REASONS.join(", ")}. New codes may come.`,
    ),
    detail: textOrNull.describe("The reason in words."),
    idempotencyKey: textOrNull.describe(
      "Idempotency-Key of the requests that carried it; null if it was in none.",
    ),
    origin: origin.describe("The event's record."),
    environments: z
      .array(environmentResult)
      .describe("One for each environment that was asked; empty if none was."),
    occurredAt: time.nullable().describe("When the person asked, RFC 3339, as the producer gave it."),
    completedAt: time.describe("When the outcome was final, RFC 3339."),
  })
  .meta({
    title: "OptOutStatus",
    description:
      "What became of one opt-out event. One record per event; a repeated one has the same statusId.",
  });

export type StatusRecord = z.infer<typeof statusRecord>;
/** What one environment made of an event. */
export type EnvironmentResult = z.infer<typeof environmentResult>;

export interface StatusEncoder {
  /**
   * Gets ready to encode; resolves at once without a registry. Rejects with the registry's OptoutError, of which
   * `registry_unreachable` is worth another try.
   */
  prepare(): Promise<void>;
  /** Throws an OptoutError `internal` before `prepare` has succeeded. */
  encode(record: StatusRecord): Buffer | TextWithEnd;
}

export interface StatusEncoderOptions {
  /** Null: records are JSON. */
  registry: Registry | null;
  /** The schema's subject is `<topic>-value`. */
  topic: string;
  /** Avro schema; that of the package unless given. */
  schema?: string;
}

/** Status records as bytes: Avro in Confluent's wire format when there is a registry, else JSON. */
export function createStatusEncoder({ registry, topic, schema }: StatusEncoderOptions): StatusEncoder {
  if (registry === null) {
    return { prepare: async () => {}, encode: createStatusWriter() };
  }
  let serialize: ((record: StatusRecord) => Buffer) | undefined;
  return {
    async prepare() {
      const id = await registry.registerSchema(`${topic}-value`, schema ?? readPackageFile(STATUS_AVRO));
      serialize = await registry.serializer(id);
    },
    encode(record) {
      if (serialize === undefined) {
        throw new OptoutError("internal", "A status record was to be encoded before its schema was known.");
      }
      return serialize(record);
    },
  };
}

import { OptoutError } from "../errors.ts";
import { readPackageFile } from "../package-files.ts";
import type { Registry } from "../registry/registry.ts";
import { STATUS_AVRO } from "../registry/subjects.ts";

/** What one environment made of an event. */
export interface EnvironmentResult {
  name: string;
  outcome: "accepted" | "rejected";
  /** Requests it took. Null, like the fields below: acknowledged before a restart, which keeps no details. */
  attempts: number | null;
  httpStatus: number | null;
  requestId: string | null;
  /** RFC 3339. */
  acknowledgedAt: string | null;
}

/**
 * A record of the status topic, as `schemas/opt-out-status.*` describe it. Offsets are numbers here, in JSON and (as
 * long) in Avro: what Kafka counts stays far below 2^53. Times are RFC 3339 text in both, so that a reader finds the
 * same value whatever the encoding.
 */
export interface StatusRecord {
  /** `topic:partition:offset`, by which readers discard repeats. */
  statusId: string;
  outcome: "delivered" | "rejected" | "partially_delivered";
  eventId: string | null;
  phone: string | null;
  source: string;
  reason: string | null;
  detail: string | null;
  idempotencyKey: string | null;
  origin: { topic: string; partition: number; offset: number; timestamp: string };
  environments: EnvironmentResult[];
  occurredAt: string | null;
  completedAt: string;
}

export interface StatusEncoder {
  /**
   * Gets ready to encode; resolves at once without a registry. Rejects with the registry's OptoutError, of which
   * `registry_unreachable` is worth another try.
   */
  prepare(): Promise<void>;
  /** Throws an OptoutError `internal` before `prepare` has succeeded. */
  encode(record: StatusRecord): Buffer;
}

export interface StatusEncoderOptions {
  /** Null: records are JSON. */
  registry: Registry | null;
  /** The schema's subject is `<topic>-value`. */
  topic: string;
  /** Avro schema; that of the package unless given. */
  schema?: string;
}

/** Path in the package. */
/** Status records as bytes: Avro in Confluent's wire format when there is a registry, else JSON. */
export function createStatusEncoder({ registry, topic, schema }: StatusEncoderOptions): StatusEncoder {
  if (registry === null) {
    return { prepare: async () => {}, encode: (record) => Buffer.from(JSON.stringify(record)) };
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

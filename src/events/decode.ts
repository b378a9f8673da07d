import { messageOf } from "../errors.ts";
import { normalizePhone } from "../phone/normalize.ts";
import type { Decoded, Provenance, Rejected, RejectReason } from "./event.ts";
import { type Fields, fieldsOf, readExpiresAt, readPhone, readProvenance, readRegion } from "./fields.ts";
import type { SchemaCache } from "./schema-cache.ts";

export interface DecoderOptions {
  /** Regions are ISO 3166 alpha-2; a record's own `region` comes before its source's, that before the default. */
  normalization: { defaultRegion: string; regionBySource: Record<string, string> };
  /** null: no registry is configured. */
  schemas: SchemaCache | null;
}

export interface RecordIn {
  value: Buffer | null;
  headers?: Record<string, unknown> | undefined;
}

/** The record needs a schema that isn't cached yet: load it, then decode again. */
export interface SchemaNeeded {
  schemaId: number;
}

export type Decoder = (record: RecordIn) => Decoded | SchemaNeeded;

/** Confluent wire format: a zero byte, a big-endian schema id, the payload. No JSON text starts with a zero byte. */
const MAGIC_BYTE = 0;
const FRAME_BYTES = 5;

/** A record's content, once its encoding is dealt with. */
type Content = { fields: Fields } | Rejected | SchemaNeeded;

/**
 * Record → event. Synchronous, so that a slice of a fetched batch is decoded without a promise per record; never
 * throws, because what escapes a kafkajs handler can end the consumer. Every rejection has a reason and a detail.
 */
export function createDecoder(options: DecoderOptions): Decoder {
  const defaultRegion = options.normalization.defaultRegion;
  const regionBySource = new Map(Object.entries(options.normalization.regionBySource));
  const regionOf = (source: string): string => (regionBySource.get(source) ?? defaultRegion).toUpperCase();
  return (record) => {
    try {
      const content = readContent(record.value, options.schemas);
      return "fields" in content ? toEvent(content.fields, regionOf) : content;
    } catch {
      // Not the error's message: it may quote the record.
      return reject("undecodable", "the record could not be read");
    }
  };
}

function readContent(value: Buffer | null, schemas: SchemaCache | null): Content {
  if (value === null || value.length === 0) {
    return reject("empty_value", "the record has no value (a tombstone): there is no phone in it to opt out");
  }
  return value[0] === MAGIC_BYTE ? readFramed(value, schemas) : readJson(value);
}

function readFramed(value: Buffer, schemas: SchemaCache | null): Content {
  if (value.length < FRAME_BYTES) {
    return reject(
      "undecodable",
      `starts like the Confluent wire format, but ends after ${value.length} of 5 bytes`,
    );
  }
  const schemaId = value.readInt32BE(1);
  const framed = `in the Confluent wire format with schema id ${schemaId}`;
  if (schemas === null) {
    return reject("undecodable", `${framed}, but no registry is configured: set schemaRegistry.url`);
  }
  if (schemaId <= 0) return reject("undecodable", `${framed}, which is not a possible id`);
  const schema = schemas.get(schemaId);
  if (schema === undefined) return { schemaId };
  if (schema === "unknown")
    return reject("undecodable", `${framed}, which the schema registry does not know`);
  if (schema === "unusable") {
    return reject(
      "undecodable",
      `${framed}, whose schema cannot be used: it must be Avro, JSON Schema or Protobuf`,
    );
  }
  let record: unknown;
  try {
    record = schema.decode(value.subarray(FRAME_BYTES));
  } catch {
    return reject("undecodable", `${framed}, but its payload does not fit that schema`);
  }
  return contentOf(record, framed);
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function readJson(value: Buffer): Content {
  let text: string;
  try {
    text = utf8.decode(value);
  } catch {
    return reject("undecodable", "neither UTF-8 text nor in the Confluent wire format");
  }
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch (error) {
    // Only the place is told: the rest of the message quotes the record.
    const place = /at position \d+/.exec(messageOf(error))?.[0];
    return reject(
      "undecodable",
      place === undefined ? "not valid JSON" : `not valid JSON: see the character ${place}`,
    );
  }
  return contentOf(record, "valid JSON");
}

function contentOf(record: unknown, encoding: string): Content {
  if (isObject(record)) return { fields: fieldsOf(record) };
  return reject("undecodable", `${encoding}, but not an object with a field "phone"`);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function toEvent(fields: Fields, regionOf: (source: string) => string): Decoded {
  const provenance = readProvenance(fields);
  const action = fields("action") ?? "opt_out";
  if (action !== "opt_out") {
    return reject(
      "unsupported_action",
      'action must be "opt_out" or left out: nothing else is acted on',
      provenance,
    );
  }
  const phone = readPhone(fields("phone"));
  if (phone === null)
    return reject("missing_phone", 'the field "phone" is missing, null or blank', provenance);
  if ("detail" in phone) return reject("invalid_phone", phone.detail, provenance);
  const region = readRegion(fields("region"));
  if ("detail" in region) return reject("invalid_field", region.detail, provenance);
  const expiry = readExpiresAt(fields("expiresAt"));
  if ("detail" in expiry) return reject("invalid_field", expiry.detail, provenance);
  const normalized = normalizePhone(phone.text, region.region ?? regionOf(provenance.source));
  if (!normalized.ok) return reject("invalid_phone", `phone: ${normalized.detail}`, provenance);
  const { expiresAt } = expiry;
  return {
    ok: true,
    event: {
      phone: normalized.e164,
      type: expiresAt === null ? "dncl" : "dncl_expiration",
      expiresAt,
      ...provenance,
    },
  };
}

const nothingKnown: Provenance = { eventId: null, source: "unknown", occurredAt: null };

function reject(reason: RejectReason, detail: string, provenance: Provenance = nothingKnown): Rejected {
  return { ok: false, reason, detail, ...provenance };
}

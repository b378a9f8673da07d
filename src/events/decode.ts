import { normalizePhone } from "../phone/normalize.ts";
import {
  type Attributes,
  headerAttributes,
  isEnvelope,
  isStructured,
  openEnvelope,
  refusedAttributes,
  refusedType,
  withAttributes,
} from "./cloud-event.ts";
import type { Decoded, Rejected } from "./event.ts";
import {
  ambiguousField,
  type Fields,
  fieldsOf,
  isAbsent,
  readExpiresAt,
  readPhone,
  readProvenance,
  readRegion,
} from "./fields.ts";
import { isEmpty, type RecordHeaders } from "./headers.ts";
import type { SchemaCache } from "./schema-cache.ts";
import { type Refusal, readValue, type SchemaNeeded } from "./value.ts";

export type { SchemaNeeded } from "./value.ts";

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

export type Decoder = (record: RecordIn) => Decoded | SchemaNeeded;

/**
 * Record → event. Synchronous, so that a slice of a fetched batch is decoded without a promise per record; never
 * throws, because what escapes a kafkajs handler can end the consumer. Every rejection has a reason and a detail.
 */
export function createDecoder(options: DecoderOptions): Decoder {
  const { normalization, schemas } = options;
  const defaultRegion = normalization.defaultRegion.toUpperCase();
  const regionBySource = new Map(
    Object.entries(normalization.regionBySource).map(([source, region]) => [source, region.toUpperCase()]),
  );
  const regionOf = (source: string): string => regionBySource.get(source) ?? defaultRegion;
  return ({ value, headers }) => {
    try {
      // Several places look for headers of theirs, and most records have none.
      const given = headers === undefined || isEmpty(headers) ? undefined : headers;
      const read = readRecord(value, given, schemas);
      if ("schemaId" in read) return read;
      return read.refusal === undefined ? toEvent(read, regionOf) : reject(read.refusal, read.fields);
    } catch {
      // Not the error's message: it may quote the record.
      return reject({ reason: "undecodable", detail: "the record could not be read" }, noFields);
    }
  };
}

/** What a record says, as far as it could be read; `encoding` is how it was written, in words. */
interface Read {
  fields: Fields;
  encoding: string;
  refusal?: Refusal | undefined;
}

const NO_VALUE = "the record has no value (a tombstone): there is no phone in it to opt out";

const noFields: Fields = () => undefined;

/** Of a record that is refused, the attributes still tell which one it is. */
const refused = (refusal: Refusal, attributes: Attributes): Read => ({
  fields: withAttributes(noFields, attributes),
  encoding: "",
  refusal,
});

/** Deals with the encoding and the envelope. */
function readRecord(
  value: Buffer | null,
  headers: RecordHeaders,
  schemas: SchemaCache | null,
): Read | SchemaNeeded {
  const attributes = headerAttributes(headers);
  if (value === null || value.length === 0) {
    return refused({ reason: "empty_value", detail: NO_VALUE }, attributes);
  }
  const structured = isStructured(headers);
  if (typeof structured === "object") return refused(structured, attributes);
  const content = readValue(value, headers, schemas);
  if ("schemaId" in content) return content;
  if ("reason" in content) return refused(content, attributes);
  const own = fieldsOf(content.fields);
  if (isEnvelope(content.fields, structured)) return readEnvelope(content.fields, attributes, schemas);
  const isCloudEvent = structured || !isAbsent(own("specversion"));
  const fields = withAttributes(structured ? withAttributes(own, own) : own, attributes);
  const refusal = refusedAttributes(attributes) ?? (isCloudEvent ? refusedType(own("type")) : undefined);
  return { fields, encoding: content.encoding, refusal };
}

function readEnvelope(
  envelope: Record<string, unknown>,
  attributes: Attributes,
  schemas: SchemaCache | null,
): Read | SchemaNeeded {
  const payload = openEnvelope(envelope, (bytes) => readValue(bytes, undefined, schemas));
  if ("schemaId" in payload) return payload;
  const own = fieldsOf(envelope);
  const data = "fields" in payload ? fieldsOf(payload.fields) : noFields;
  const fields = withAttributes(withAttributes(data, own), attributes);
  const forbidden = refusedAttributes(own) ?? refusedAttributes(attributes);
  const refusal = forbidden ?? ("reason" in payload ? payload : undefined);
  return { fields, encoding: "a CloudEvent", refusal };
}

function toEvent({ fields, encoding }: Read, regionOf: (source: string) => string): Decoded {
  const rejected = (reason: Refusal["reason"], detail: string): Rejected =>
    reject({ reason, detail }, fields);
  const twice = ambiguousField(fields);
  if (twice !== undefined) {
    return rejected("ambiguous_field", `${twice} is given more than once, with different values`);
  }
  const action = fields("action");
  if (!isAbsent(action) && action !== "opt_out") {
    return rejected("unsupported_action", 'action must be "opt_out" or left out: nothing else is acted on');
  }
  const phone = readPhone(fields("phone"));
  if (phone === null) {
    return rejected(
      "missing_phone",
      `the field "phone" is missing, null or blank (the record is ${encoding})`,
    );
  }
  if ("detail" in phone) return rejected("invalid_phone", phone.detail);
  const region = readRegion(fields("region"));
  if ("detail" in region) return rejected("invalid_field", region.detail);
  const expiry = readExpiresAt(fields("expiresAt"));
  if ("detail" in expiry) return rejected("invalid_field", expiry.detail);
  const { eventId, source, occurredAt } = readProvenance(fields);
  const normalized = normalizePhone(phone.text, region.region ?? regionOf(source));
  if (!normalized.ok) return rejected("invalid_phone", `phone: ${normalized.detail}`);
  const { expiresAt } = expiry;
  const type = expiresAt === null ? "dncl" : "dncl_expiration";
  return { ok: true, event: { phone: normalized.e164, type, expiresAt, eventId, source, occurredAt } };
}

const reject = ({ reason, detail }: Refusal, fields: Fields): Rejected => ({
  ok: false,
  reason,
  detail,
  ...readProvenance(fields),
});

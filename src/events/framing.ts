import { headerBytes, type RecordHeaders } from "./headers.ts";
import type { SchemaId } from "./registry-client.ts";

/** A payload and the schema that it was written with. */
export interface Framed {
  schemaId: SchemaId;
  /** For Protobuf, it begins with the place of the message in its file. */
  payload: Buffer;
  /** In words, for details. */
  named: string;
}

/**
 * Confluent's wire format: a zero byte, a big-endian id of 4 bytes, the payload. No JSON text starts with a zero byte.
 * Newer serializers (`HeaderSchemaIdSerializer`, Confluent Platform 8.1.1) leave the value alone and put into a header
 * what identifies the schema: as above, or the byte 1 and a GUID of 16 bytes; then, for Protobuf, the place of the message.
 */
const ID_MAGIC = 0;
const GUID_MAGIC = 1;
const ID_BYTES = 5;
const GUID_BYTES = 17;
const SCHEMA_HEADER = "__value_schema_id";

/** Undefined: the value isn't framed. A `detail` says what is wrong with the frame. */
export function unframe(value: Buffer): Framed | { detail: string } | undefined {
  if (value[0] !== ID_MAGIC) return undefined;
  if (value.length < ID_BYTES) {
    return {
      detail: `starts like the Confluent wire format, but ends after ${value.length} of ${ID_BYTES} bytes`,
    };
  }
  const schemaId = value.readInt32BE(1);
  const named = `in the Confluent wire format with schema id ${schemaId}`;
  return checked({ schemaId, payload: value.subarray(ID_BYTES), named });
}

/** Undefined: no header says what the value is. */
export function unframeByHeader(
  value: Buffer,
  headers: RecordHeaders,
): Framed | { detail: string } | undefined {
  const header = headerBytes(headers, SCHEMA_HEADER);
  return header === undefined ? undefined : unframeBy(header, value);
}

function unframeBy(header: Buffer, value: Buffer): Framed | { detail: string } {
  const withPlace = (bytes: number): Buffer =>
    header.length === bytes ? value : Buffer.concat([header.subarray(bytes), value]);
  if (header[0] === ID_MAGIC && header.length >= ID_BYTES) {
    const schemaId = header.readInt32BE(1);
    const named = `written with schema id ${schemaId} by the header ${SCHEMA_HEADER}`;
    return checked({ schemaId, payload: withPlace(ID_BYTES), named });
  }
  if (header[0] === GUID_MAGIC && header.length >= GUID_BYTES) {
    const schemaId = guidOf(header.subarray(1, GUID_BYTES));
    const named = `written with schema GUID ${schemaId} by the header ${SCHEMA_HEADER}`;
    return { schemaId, payload: withPlace(GUID_BYTES), named };
  }
  return {
    detail: `the header ${SCHEMA_HEADER} names no schema: it must be the byte 0 and an id of 4 bytes, or the byte 1 and a GUID of 16`,
  };
}

const checked = (framed: Framed & { schemaId: number }): Framed | { detail: string } =>
  framed.schemaId > 0 ? framed : { detail: `${framed.named}, which is not a possible id` };

const guidOf = (bytes: Buffer): string =>
  bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

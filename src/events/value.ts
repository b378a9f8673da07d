import { messageOf } from "../errors.ts";
import type { RejectReason } from "./event.ts";
import { type Framed, unframe, unframeByHeader } from "./framing.ts";
import type { RecordHeaders } from "./headers.ts";
import { decodeUtf8, isObject, parseJson } from "./json.ts";
import type { SchemaId } from "./registry-client.ts";
import type { SchemaCache } from "./schema-cache.ts";

/** The record needs a schema that isn't cached yet: load it, then decode again. */
export interface SchemaNeeded {
  schemaId: SchemaId;
}

/** Why a record can't be an event. */
export interface Refusal {
  reason: RejectReason;
  /** Without anything that may be a phone. */
  detail: string;
}

/** What a value holds, once its encoding is dealt with. `encoding` says in words what that was. */
export type Content = { fields: Record<string, unknown>; encoding: string } | Refusal | SchemaNeeded;

/** A value that is plain JSON, or framed with its schema: in itself, or by a header. */
export function readValue(value: Buffer, headers: RecordHeaders, schemas: SchemaCache | null): Content {
  const framed = unframeByHeader(value, headers) ?? (looksLikeUtf16(value) ? undefined : unframe(value));
  if (framed === undefined) return readJson(value);
  return "detail" in framed ? undecodable(framed.detail) : readFramed(framed, schemas);
}

function readFramed({ schemaId, payload, named }: Framed, schemas: SchemaCache | null): Content {
  if (schemas === null) {
    return undecodable(`${named}, but no registry is configured: set schemaRegistry.url`);
  }
  const schema = schemas.get(schemaId);
  if (schema === undefined) return { schemaId };
  if (schema === "unknown") {
    // Its own reason, since it may be mended: register the schema, then send the dead letters again.
    return { reason: "unknown_schema", detail: `${named}, which the schema registry does not know` };
  }
  if (schema === "unusable") {
    return undecodable(
      `${named}, whose schema cannot be used: it must be Avro, JSON Schema or Protobuf, complete with all that it refers to, and not huge`,
    );
  }
  let record: unknown;
  try {
    record = schema.decode(payload);
  } catch {
    return undecodable(`${named}, but its payload does not fit that schema`);
  }
  return contentOf(record, named);
}

/** Plain JSON, in UTF-8. */
export function readJson(value: Buffer): Content {
  if (looksLikeUtf16(value)) return undecodable("text in UTF-16: send UTF-8");
  let text: string;
  try {
    text = decodeUtf8(value);
  } catch {
    return undecodable(compressionOf(value) ?? "neither UTF-8 text nor in the Confluent wire format");
  }
  if (CONTROL_CHARACTER.test(text[0] ?? "")) {
    const first = value.toString("hex", 0, 1);
    return undecodable(`starts with the byte 0x${first}: neither JSON nor the Confluent wire format (0x00)`);
  }
  let record: unknown;
  try {
    record = parseJson(text);
  } catch (error) {
    // Only the place is told: the rest of the message quotes the record.
    const place = /at position \d+/.exec(messageOf(error))?.[0];
    return undecodable(place === undefined ? "not valid JSON" : `not valid JSON: see the character ${place}`);
  }
  return contentOf(record, "valid JSON");
}

function contentOf(record: unknown, encoding: string): Content {
  if (isObject(record)) return { fields: record, encoding };
  return undecodable(`${encoding}, but not an object with a field "phone"`);
}

const undecodable = (detail: string): Refusal => ({ reason: "undecodable", detail });

/** Those that JSON doesn't allow before a value. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const CONTROL_CHARACTER = /[\x00-\x08\x0b\x0c\x0e-\x1f]/;

/** What compressed data begins with; none of it is UTF-8. */
const COMPRESSIONS = [
  ["gzip", "1f8b"],
  ["zstd", "28b52ffd"],
] as const;

function compressionOf(value: Buffer): string | undefined {
  const start = value.toString("hex", 0, 4);
  const compression = COMPRESSIONS.find(([, magic]) => start.startsWith(magic))?.[0];
  if (compression === undefined) return undefined;
  return `compressed with ${compression}: send the value plain, and set the producer's compression`;
}

/**
 * A byte order mark; or `{` and a quote or whitespace, in either byte order. `00 7b 00` could begin a frame as well, but
 * with a schema id above two thousand million, and with zero bytes in just these places.
 */
const UTF16 = /^(?:fffe|feff|7b00(?:22|20|0a|0d|09)00|007b00(?:22|20|0a|0d|09)00..00)/;

function looksLikeUtf16(value: Buffer): boolean {
  // Nearly always: a brace, and something after it.
  if (value[0] === OPENING_BRACE && value[1] !== 0) return false;
  return UTF16.test(value.toString("hex", 0, 7));
}

const OPENING_BRACE = 0x7b;

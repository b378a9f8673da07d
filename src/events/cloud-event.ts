/**
 * CloudEvents 1.0, JSON event format and Kafka protocol binding (cloudevents.io). In structured mode the value is a JSON
 * envelope, and the payload its `data` or `data_base64`. In binary mode the value is the payload, in any encoding that
 * records have, and the attributes are headers that begin with `ce_`.
 *
 * Attributes stand in for fields that the payload doesn't have: `id` for `eventId`, `time` for `occurredAt`, `source` for
 * `source` if it is a short word (it may be any URI). None is required, though the specification says so: a payload
 * with a phone is an opt-out, and must not be lost for the want of an attribute.
 */
import { type Fields, fieldsOf, isAbsent, isShortWord } from "./fields.ts";
import { headerText, type RecordHeaders } from "./headers.ts";
import { AMBIGUOUS, isObject } from "./json.ts";
import { type Content, type Refusal, readJson } from "./value.ts";

/** An attribute by its name in the specification; undefined if it isn't given. */
type Attributes = Fields;

const MEDIA_TYPE = /^application\/cloudevents(?<batch>-batch)?(?:\+(?<format>[^;\s]+))?\s*(?:;|$)/i;

/** Whether the headers say that the value is an envelope; or why such a one can't be read. */
export function isStructured(headers: RecordHeaders): boolean | Refusal {
  const contentType = headerText(headers, "content-type");
  const match = contentType === undefined ? null : MEDIA_TYPE.exec(contentType);
  if (match === null) return false;
  const { batch, format = "json" } = match.groups ?? {};
  if (batch !== undefined) {
    return unsupported("a batch of CloudEvents, which is not one event: send each as a record of its own");
  }
  if (format.toLowerCase() === "json") return true;
  return unsupported("a CloudEvent in a format other than JSON: send application/cloudevents+json");
}

export const headerAttributes =
  (headers: RecordHeaders): Attributes =>
  (name) =>
    headerText(headers, `ce_${name}`);

/**
 * Without its header, which some bridges lose, an envelope is known by `specversion` and a payload; an object with a
 * `phone` beside them is a plain event with fields that nobody asked for.
 */
export function isEnvelope(fields: Record<string, unknown>, structured: boolean): boolean {
  const has = (name: string): boolean => Object.hasOwn(fields, name);
  const hasPayload = has("data") || has("data_base64");
  return structured ? hasPayload || !has("phone") : hasPayload && has("specversion") && !has("phone");
}

/** The payload of an envelope: an object, the text of one, or the bytes of any encoding, read by `readBytes`. */
export function openEnvelope(
  envelope: Record<string, unknown>,
  readBytes: (value: Buffer) => Content,
): Content {
  const fields = fieldsOf(envelope);
  const data = fields("data");
  const base64 = fields("data_base64");
  if (data === AMBIGUOUS || base64 === AMBIGUOUS || !(isAbsent(data) || isAbsent(base64))) {
    return { reason: "ambiguous_field", detail: "the CloudEvent has more than one payload" };
  }
  if (isObject(data)) return { fields: data, encoding: "a CloudEvent" };
  if (typeof data === "string" && !isAbsent(data)) return named(readJson(Buffer.from(data)), "data");
  if (typeof base64 === "string" && !isAbsent(base64)) {
    return named(readBytes(Buffer.from(base64, "base64")), "data_base64");
  }
  if (isAbsent(data) && isAbsent(base64)) {
    return { reason: "missing_phone", detail: "the CloudEvent has no data, so there is no phone in it" };
  }
  return { reason: "undecodable", detail: "the data of the CloudEvent is not an object" };
}

const named = (content: Content, part: string): Content =>
  "reason" in content ? { ...content, detail: `the ${part} of the CloudEvent: ${content.detail}` } : content;

const SPECVERSION = /^1(?:\.\d+)?$/;
/** Of a type such as `com.example.opt-in.v1`: an opt-in must never become an opt-out, whatever its payload leaves out. */
const OPT_IN = /(?:^|[^a-z])opt(?:ed)?[-_. ]?in(?:\.v?\d+)*$/i;

/** Why the attributes forbid to take the event for an opt-out, if they do. */
export function refusedAttributes(attributes: Attributes): Refusal | undefined {
  const version = attributes("specversion");
  const text = typeof version === "number" ? String(version) : textOf(version);
  if (!isAbsent(version) && !SPECVERSION.test(text)) {
    return unsupported("a CloudEvent of another specversion than 1.0: send 1.0");
  }
  if (!OPT_IN.test(textOf(attributes("type")))) return undefined;
  return { reason: "unsupported_action", detail: "the CloudEvent's type is that of an opt-in" };
}

/** What stands in for a field. An extension attribute may say that it is an opt-in, when the payload doesn't. */
const STANDS_IN = new Map([
  ["eventId", "id"],
  ["occurredAt", "time"],
  ["source", "source"],
  ["action", "action"],
]);

/** The payload's fields, and attributes in place of those it doesn't have. */
export function withAttributes(fields: Fields, attributes: Attributes): Fields {
  return (name) => {
    const value = fields(name);
    const attribute = STANDS_IN.get(name);
    if (attribute === undefined || !isAbsent(value)) return value;
    const given = attributes(attribute);
    return isAbsent(given) || (name === "source" && !isShortWord(given)) ? value : given;
  };
}

const textOf = (value: unknown): string => (typeof value === "string" ? value.trim() : "");

const unsupported = (detail: string): Refusal => ({
  reason: "unsupported_cloudevent",
  detail,
});

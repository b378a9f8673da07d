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
export type Attributes = Fields;

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

/** Of most records; what looks for attributes needn't for it. */
const noAttributes: Attributes = () => undefined;

export const headerAttributes = (headers: RecordHeaders): Attributes =>
  headers === undefined ? noAttributes : (name) => headerText(headers, `ce_${name}`);

/**
 * Without its header, which some bridges lose, an envelope is known by `specversion` and a payload; an object with a
 * `phone` beside them is a plain event with fields that nobody asked for, or a CloudEvent whose phone is an attribute.
 */
export function isEnvelope(fields: Record<string, unknown>, structured: boolean): boolean {
  const isPlain = Object.hasOwn(fields, "phone");
  if (structured) return !isPlain || PAYLOADS.map(fieldsOf(fields)).some((payload) => !isAbsent(payload));
  return !isPlain && Object.hasOwn(fields, "specversion") && hasPayload(fields);
}

const hasPayload = (fields: Record<string, unknown>): boolean =>
  PAYLOADS.some((name) => Object.hasOwn(fields, name));

const PAYLOADS = ["data", "data_base64"];

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

/** Why the attributes forbid to take the event for an opt-out, if they do. */
export function refusedAttributes(attributes: Attributes): Refusal | undefined {
  if (attributes === noAttributes) return undefined;
  const version = attributes("specversion");
  const text = typeof version === "number" ? String(version) : textOf(version);
  if (!isAbsent(version) && !SPECVERSION.test(text)) {
    return unsupported("a CloudEvent of another specversion than 1.0: send 1.0");
  }
  return refusedType(attributes("type"));
}

/**
 * An opt-in must never become an opt-out, whatever its payload leaves out. It is one unless it is taken back further on in
 * the type; and an opt-out that is taken back is as good as one.
 */
export function refusedType(type: unknown): Refusal | undefined {
  if (type === AMBIGUOUS) {
    const detail = "the CloudEvent's type is given more than once, with different values";
    return { reason: "ambiguous_field", detail };
  }
  const given = textOf(type);
  // Nearly always: it is no CloudEvent.
  if (given === "") return undefined;
  const text = splitCamelCase(given).toLowerCase();
  const words = ` ${text.replace(/[^a-z]+/g, " ")} `;
  const last = (pattern: RegExp): number => [...words.matchAll(pattern)].at(-1)?.index ?? -1;
  if (last(OPT_IN) > last(ENDED)) return unwanted("an opt-in");
  return OPT_OUT_ENDED.test(words) ? unwanted("an opt-out taken back") : undefined;
}

const unwanted = (what: string): Refusal => ({
  reason: "unsupported_action",
  detail: `the CloudEvent's type is that of ${what}`,
});

/** `OPTin` isn't `OP Tin`. */
const splitCamelCase = (text: string): string =>
  text
    .replace(/OPT(?=in)/g, "Opt")
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1 $2");

const TAKEN_BACK =
  "(?:revok|withdr|remov|rescind|cancel|delet|revers|undo|retract|expir|ended|terminat)[a-z]*(?= )";
/** In words with a blank before and after each, so that to adopt in something is no opt-in. */
const OPT_IN = / (?:re|auto|single|double)?opt(?:s|ed|ing)? ?ins?(?= )/g;
const ENDED = new RegExp(` ${TAKEN_BACK}`, "g");
const OPT_OUT_ENDED = new RegExp(` opt(?:s|ed|ing)? ?outs? ${TAKEN_BACK}`);

/** What stands in for a field. An extension attribute may say that it is an opt-in, when the payload doesn't. */
const STANDS_IN = new Map([
  ["eventId", "id"],
  ["occurredAt", "time"],
  ["source", "source"],
  ["action", "action"],
]);

/** The payload's fields, and attributes in place of those it doesn't have. */
export function withAttributes(fields: Fields, attributes: Attributes): Fields {
  if (attributes === noAttributes) return fields;
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

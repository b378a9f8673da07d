import { randomUUID } from "node:crypto";
import type { Message } from "kafkajs";
import type { Config } from "../config/schema.ts";
import { createDecoder } from "../events/decode.ts";
import type { Decoded, OptOutEvent } from "../events/event.ts";
import type { Reason } from "./answers.ts";

export type Intake =
  | { ok: true; phone: string; eventId: string; message: Message }
  | { ok: false; reason: Reason; detail: string };

export interface IntakeRequest {
  /** The fields of a form; else the bytes of a JSON object. */
  body: Buffer | URLSearchParams;
  /** The header, by which the event is known from then on. */
  idempotencyKey: string | undefined;
}

/** The same length as an `eventId` in an event, and what HTTP allows in a header. */
const IDEMPOTENCY_KEY = /^[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?$/;
/** A string of RFC 9651, as draft-ietf-httpapi-idempotency-key-header wants it. */
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;

/** The key itself, whether it is written in quotes or not; undefined if it can't be one. */
function readIdempotencyKey(header: string): string | undefined {
  const key = header.startsWith('"') ? QUOTED.exec(header)?.[1]?.replace(/\\(.)/g, "$1") : header;
  return key !== undefined && IDEMPOTENCY_KEY.test(key) ? key : undefined;
}

const parseJson = (value: Buffer): unknown => {
  try {
    // Not toString(): that would keep a byte order mark, which the decoder overlooks.
    return JSON.parse(new TextDecoder().decode(value));
  } catch {
    return undefined;
  }
};

/** What was dialled, with the # that ended it: no form of a number, but what an IVR has. */
const DIALLED = /^([+\d\s]+)#\s*$/;

/** The same event with a dialled number as a person would write it; undefined if it isn't dialled. */
function withoutTerminator(value: Buffer): Buffer | undefined {
  const fields = parseJson(value);
  if (typeof fields !== "object" || fields === null || !("phone" in fields)) return undefined;
  const phone = typeof fields.phone === "string" ? DIALLED.exec(fields.phone)?.[1] : undefined;
  return phone === undefined ? undefined : Buffer.from(JSON.stringify({ ...fields, phone }));
}

/**
 * A request's body → the record for the events topic, or why not. Read by the relay's own rules, so that what the
 * gateway takes is not rejected behind it.
 */
export function createIntake(normalization: Config["normalization"]): (request: IntakeRequest) => Intake {
  const decode = createDecoder({ normalization, schemas: null });
  const readOnce = (value: Buffer): Decoded => {
    const decoded = decode({ value });
    return "schemaId" in decoded ? reject("undecodable", "the body is not a JSON object") : decoded;
  };
  const read = (value: Buffer): Decoded => {
    const decoded = readOnce(value);
    if (decoded.ok || decoded.reason !== "invalid_phone") return decoded;
    const dialled = withoutTerminator(value);
    return dialled === undefined ? decoded : readOnce(dialled);
  };

  return ({ body, idempotencyKey }) => {
    const key = idempotencyKey === undefined ? undefined : readIdempotencyKey(idempotencyKey);
    if (idempotencyKey !== undefined && key === undefined) {
      return reject(
        "invalid_field",
        "Idempotency-Key must be 1 to 256 visible ASCII characters, in double quotes or without",
      );
    }
    const decoded = Buffer.isBuffer(body) ? readJson(body, read) : readFormOrSayWhy(body, read);
    if (!decoded.ok) return { ok: false, reason: decoded.reason, detail: decoded.detail };
    const { event } = decoded;
    const eventId = key ?? event.eventId ?? randomUUID();
    return { ok: true, phone: event.phone, eventId, message: toMessage(event, eventId) };
  };
}

const reject = (reason: "undecodable" | "invalid_field" | "invalid_phone" | "empty_value", detail: string) =>
  ({ ok: false, reason, detail, eventId: null, source: "unknown", occurredAt: null }) as const;

type Read = (value: Buffer) => Decoded;

/** curl sends JSON as a form unless it is told otherwise, and the form then has all of it for a field's name. */
function readFormOrSayWhy(form: URLSearchParams, read: Read): Decoded {
  const [first = ""] = form.keys();
  if (!form.has("phone") && /^\s*[{[]/.test(first)) {
    return reject(
      "undecodable",
      "the body came as a form (application/x-www-form-urlencoded) and looks like JSON: send content-type: application/json",
    );
  }
  return readForm(form, read);
}

/** A zero byte would start a schema id, which only records on the topic may have. */
function readJson(body: Buffer, read: Read): Decoded {
  if (body.length === 0) return reject("empty_value", "the request has no body");
  return body[0] === 0 ? reject("undecodable", "the body is not a JSON object") : read(body);
}

const FIRST_DIGIT = /\p{Nd}/u;
const PLUS = /[+\uff0b]/;

/** The phone as it reads if a blank before its first digit was a plus; undefined if there is none, or a plus as well. */
function withPlusForBlank(phone: string): string | undefined {
  const start = phone.search(FIRST_DIGIT);
  const before = phone.slice(0, Math.max(0, start));
  return before.includes(" ") && !PLUS.test(before) ? `+${phone.slice(start)}` : undefined;
}

/**
 * In a form a raw `+` means a blank, and many write `phone=+1…` all the same. A blank before the first digit, as also in
 * `( 44) 20…`, may thus be a plus or a slip of the keyboard: whichever gives a valid number is meant. If both do, and not
 * the same one, the wrong person could be taken off the lists, so it is refused.
 */
function readForm(form: URLSearchParams, read: Read): Decoded {
  if (new Set(form.keys()).size < form.size) {
    return reject("undecodable", "a field of the form is given more than once");
  }
  const fields = Object.fromEntries(form);
  const withPhone = (phone: string): Decoded => read(Buffer.from(JSON.stringify({ ...fields, phone })));
  const phone = form.get("phone");
  const plus = phone === null ? undefined : withPlusForBlank(phone);
  if (phone === null || plus === undefined) return read(Buffer.from(JSON.stringify(fields)));
  const national = withPhone(phone);
  const international = withPhone(plus);
  if (!international.ok) return national;
  if (!national.ok || national.event.phone === international.event.phone) return international;
  return reject(
    "invalid_phone",
    "the phone has a blank or an unencoded + before its digits, and is a valid number either way: write + as %2B",
  );
}

/** Normalised already, so what is written names a country and needs no region. */
function toMessage(event: OptOutEvent, eventId: string): Message {
  const { phone, source, occurredAt, expiresAt } = event;
  const value = {
    eventId,
    phone,
    source,
    ...(occurredAt !== null && { occurredAt }),
    ...(expiresAt !== null && { expiresAt }),
  };
  return {
    key: phone,
    value: JSON.stringify(value),
    headers: { "content-type": "application/json" },
  };
}

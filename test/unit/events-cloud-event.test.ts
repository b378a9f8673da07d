import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createDecoder } from "../../src/events/decode.ts";
import type { Decoded } from "../../src/events/event.ts";

const normalization = { defaultRegion: "US", regionBySource: { kiosk: "GB" } };
const schema = { decode: (payload: Buffer) => JSON.parse(payload.toString()) };
const decodeRecord = createDecoder({
  normalization,
  schemas: { get: (id) => (id === 7 ? schema : undefined), load: async () => {}, close: () => {} },
});

const phone = "(212) 555-0123";
const STRUCTURED = { "content-type": Buffer.from("application/cloudevents+json; charset=UTF-8") };
const ENVELOPE = {
  specversion: "1.0",
  id: "ce-1",
  source: "/forms/eu",
  type: "com.example.optout",
  time: "2030-01-01T00:00:00Z",
};
const BINARY = {
  ce_specversion: Buffer.from("1.0"),
  ce_id: Buffer.from("ce-1"),
  ce_source: Buffer.from("/forms/eu"),
  ce_type: Buffer.from("com.example.optout"),
  ce_time: Buffer.from("2030-01-01T00:00:00Z"),
};
const EVENT = {
  phone: "+12125550123",
  type: "dncl",
  expiresAt: null,
  source: "unknown",
  eventId: "ce-1",
  occurredAt: "2030-01-01T00:00:00Z",
};

function decode(value: unknown, headers: Record<string, unknown> = {}): Decoded {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value));
  const decoded = decodeRecord({ value: bytes, headers });
  assert.ok("ok" in decoded, JSON.stringify(decoded));
  return decoded;
}

function eventOf(value: unknown, headers?: Record<string, unknown>) {
  const decoded = decode(value, headers);
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.event;
}

function rejected(value: unknown, headers?: Record<string, unknown>) {
  const decoded = decode(value, headers);
  assert.ok(!decoded.ok, JSON.stringify(decoded));
  assert.doesNotMatch(decoded.detail, /555/);
  return decoded;
}

const framed = (payload: unknown): Buffer => Buffer.from(`\0\0\0\0\u0007${JSON.stringify(payload)}`);
const base64 = (bytes: Buffer | string): string => Buffer.from(bytes).toString("base64");

test("structured: the payload is an object, its text, or the bytes of any encoding", () => {
  for (const payload of [
    { data: { phone } },
    { data: JSON.stringify({ phone }) },
    { data: null, data_base64: base64(JSON.stringify({ phone })) },
    { data_base64: base64(framed({ phone })) },
  ]) {
    assert.deepEqual(eventOf({ ...ENVELOPE, ...payload }, STRUCTURED), EVENT, JSON.stringify(payload));
  }
  assert.deepEqual(eventOf(framed({ ...ENVELOPE, data: { phone } }), STRUCTURED), EVENT);
});

test("binary: the value is the payload, in any encoding, and the attributes are headers", () => {
  assert.deepEqual(eventOf({ phone }, BINARY), EVENT);
  assert.deepEqual(eventOf(framed({ phone }), BINARY), EVENT);
  const byHeader = { ...BINARY, __value_schema_id: Buffer.from([0, 0, 0, 0, 7]) };
  assert.deepEqual(eventOf({ phone }, byHeader), EVENT);
  assert.deepEqual(eventOf({ phone }, { ...BINARY, "content-type": "application/json" }), EVENT);
  assert.deepEqual(eventOf({ phone }, { ...BINARY, ce_id: ["old", "ce-1"] }), EVENT);
});

test("an envelope whose header got lost is known by its specversion and payload, a plain event by its phone", () => {
  assert.deepEqual(eventOf({ ...ENVELOPE, data: { phone } }), EVENT);
  const plain = eventOf({ ...ENVELOPE, phone, data: { phone: "+12125550124" } });
  assert.deepEqual([plain.phone, plain.eventId], ["+12125550123", null]);
  assert.equal(rejected({ data: { phone } }).reason, "missing_phone");
  assert.equal(rejected({ specversion: "1.0", phones: [phone] }).reason, "missing_phone");
});

test("the payload's own fields come before the attributes, and a source is a source only if it is a short word", () => {
  const own = { phone, eventId: "own", occurredAt: "2029-01-01T00:00:00Z", source: "web" };
  for (const event of [eventOf({ ...ENVELOPE, data: own }, STRUCTURED), eventOf(own, BINARY)]) {
    const { eventId, occurredAt, source } = event;
    assert.deepEqual([eventId, occurredAt, source], ["own", "2029-01-01T00:00:00Z", "web"]);
  }
  for (const [source, known] of [
    ["kiosk", "kiosk"],
    ["https://example.com/forms", "unknown"],
    ["urn:forms", "unknown"],
    ["/forms", "unknown"],
    ["two words", "unknown"],
    ["x".repeat(65), "unknown"],
  ]) {
    const data = { phone: "+442079460958" };
    assert.equal(eventOf({ ...ENVELOPE, source, data }, STRUCTURED).source, known);
    assert.equal(eventOf(data, { ...BINARY, ce_source: source }).source, known);
  }
  const london = eventOf({ ...ENVELOPE, source: "kiosk", data: { phone: "020 7946 0958" } }, STRUCTURED);
  assert.equal(london.phone, "+442079460958");
});

test("an opt-out is not lost for the want of an attribute", () => {
  for (const name of Object.keys(ENVELOPE)) {
    for (const value of [undefined, null, ""]) {
      assert.equal(eventOf({ ...ENVELOPE, data: { phone }, [name]: value }, STRUCTURED).phone, EVENT.phone);
      assert.equal(eventOf({ phone }, { ...BINARY, [`ce_${name}`]: value }).phone, EVENT.phone);
    }
  }
  assert.equal(eventOf({ phone }, STRUCTURED).phone, EVENT.phone);
  assert.equal(eventOf({ data: { phone } }, STRUCTURED).phone, EVENT.phone);
  assert.equal(eventOf({ ...ENVELOPE, time: "soon", id: 7, data: { phone } }, STRUCTURED).eventId, "7");
});

test("another specversion than 1.x is refused", () => {
  for (const specversion of ["1.0", "1.1", "1", " 1.0 ", 1]) {
    assert.ok(eventOf({ ...ENVELOPE, specversion, data: { phone } }, STRUCTURED));
    assert.ok(eventOf({ phone }, { ...BINARY, ce_specversion: Buffer.from(String(specversion)) }));
  }
  for (const specversion of ["0.3", "2.0", "10", "1.0.x", "one", "+12125550123"]) {
    for (const refused of [
      rejected({ ...ENVELOPE, specversion, data: { phone } }, STRUCTURED),
      rejected({ ...ENVELOPE, specversion, data: { phone } }),
      rejected({ phone }, { ...BINARY, ce_specversion: Buffer.from(specversion) }),
    ]) {
      assert.equal(refused.reason, "unsupported_cloudevent");
      assert.match(refused.detail, /specversion/);
      assert.equal(refused.eventId, "ce-1");
    }
  }
  assert.equal(rejected({ ...ENVELOPE, specversion: {}, data: { phone } }).reason, "unsupported_cloudevent");
});

test("batches and formats other than JSON are refused by their media type, whatever they hold", () => {
  const typed = (type: string) => ({ "content-type": Buffer.from(type) });
  for (const type of [
    "application/cloudevents-batch+json",
    "Application/CloudEvents-Batch+JSON; charset=utf-8",
    "application/cloudevents-batch",
  ]) {
    for (const value of [[{ ...ENVELOPE, data: { phone } }], { phone }, Buffer.from("x")]) {
      const refused = rejected(value, typed(type));
      assert.equal(refused.reason, "unsupported_cloudevent");
      assert.match(refused.detail, /batch/);
    }
  }
  for (const type of ["application/cloudevents+avro", "application/cloudevents+protobuf;x=y"]) {
    const refused = rejected({ ...ENVELOPE, data: { phone } }, typed(type));
    assert.equal(refused.reason, "unsupported_cloudevent");
    assert.match(refused.detail, /format other than JSON/);
  }
  for (const type of [
    "application/cloudevents",
    "APPLICATION/CLOUDEVENTS+JSON",
    "application/cloudevents+json ;a=b",
  ]) {
    assert.deepEqual(eventOf({ ...ENVELOPE, data: { phone } }, typed(type)), EVENT);
  }
  for (const type of ["application/json", "application/cloudeventsx", "x", ""]) {
    assert.equal(eventOf({ phone }, typed(type)).phone, EVENT.phone);
  }
});

test("an envelope without a readable payload says so, and keeps its id and time", () => {
  for (const [payload, reason, detail] of [
    [{}, "missing_phone", /^the CloudEvent has no data/],
    [{ data: null }, "missing_phone", /^the CloudEvent has no data/],
    [{ data: " ", data_base64: "" }, "missing_phone", /^the CloudEvent has no data/],
    [{ data: {} }, "missing_phone", /"phone" is missing, null or blank \(the record is a CloudEvent\)/],
    [{ data: [{ phone }] }, "undecodable", /^the data of the CloudEvent is not an object/],
    [{ data: 2125550123 }, "undecodable", /^the data of the CloudEvent is not an object/],
    [{ data: phone }, "undecodable", /^the data of the CloudEvent: not valid JSON/],
    [{ data: JSON.stringify([phone]) }, "undecodable", /^the data of the CloudEvent: valid JSON, but not/],
    [{ data_base64: base64("{") }, "undecodable", /^the data_base64 of the CloudEvent: not valid JSON/],
    [{ data_base64: "%%%" }, "undecodable", /^the data_base64 of the CloudEvent: /],
    [{ data_base64: { phone } }, "undecodable", /^the data of the CloudEvent is not an object/],
    [{ data: { phone }, data_base64: "e30=" }, "ambiguous_field", /more than one payload/],
    [{ data: { phone: "12" } }, "invalid_phone", /^phone: /],
    [{ data: { phone, expiresAt: "soon" } }, "invalid_field", /^expiresAt/],
  ] as const) {
    const refused = rejected({ ...ENVELOPE, ...payload }, STRUCTURED);
    assert.deepEqual([refused.reason, detail.test(refused.detail)], [reason, true], refused.detail);
    assert.deepEqual([refused.eventId, refused.occurredAt], ["ce-1", "2030-01-01T00:00:00Z"]);
  }
  assert.equal(rejected(Buffer.from("{"), BINARY).eventId, "ce-1");
  assert.equal(rejected(Buffer.alloc(0), BINARY).reason, "empty_value");
});

test("a phone beside an empty payload is the event's, and the attributes beside it count", () => {
  for (const empty of [{ data: null }, { data: "" }, { data_base64: null }, {}]) {
    const event = eventOf({ ...ENVELOPE, ...empty, phone }, STRUCTURED);
    assert.deepEqual(event, { ...EVENT, source: "forms_eu" });
  }
  const both = { ...ENVELOPE, data: { phone }, phone: "+12125550124" };
  assert.equal(eventOf(both, STRUCTURED).phone, EVENT.phone);
});

test("an event within an event is not opened", () => {
  const inner = { ...ENVELOPE, data: { phone } };
  assert.equal(rejected({ ...ENVELOPE, data: inner }, STRUCTURED).reason, "missing_phone");
});

test("a phone or a payload given twice is ambiguous within an envelope, too", () => {
  const text = (payload: string): Buffer => Buffer.from(`{"specversion":"1.0",${payload}}`);
  for (const payload of [
    '"data":{"phone":"1","phone":"+12125550123"}',
    '"data":{"phone":"1"},"data":{"phone":"+12125550123"}',
    `"data":${JSON.stringify('{"phone":"1","phone":"+12125550123"}')}`,
    `"data_base64":"${base64('{"phone":"1","phone":"+12125550123"}')}"`,
  ]) {
    assert.equal(rejected(text(payload), STRUCTURED).reason, "ambiguous_field", payload);
  }
});

test("an opt-in never becomes an opt-out, also when only its type or an extension says so", () => {
  for (const type of [
    "com.example.opt-in",
    "com.example.optin.v1",
    "OPT_IN",
    "opted.in",
    "phone.opted-in.1.2",
    "com.example.CustomerOptIn",
    "customerOptedIn",
    "CustomerOPTIn",
    "customer.OPTin",
    "com.example.OptInRequested",
    "com.example.opt-in.created",
    "com.example.opt-in-v2",
    "com.example.opt-in.v1-beta",
    "com.example.opt-in/1",
    "opt_in_event",
    "optIn2",
    "subscribed.opting-in",
    "re-opt-in",
    "com.example.reoptin",
    "opt-in.revoked.opt-in",
    "com.example.OptOutRevoked",
    "opt-out.withdrawn",
    "optout_cancelled.v1",
  ]) {
    for (const refused of [
      rejected({ ...ENVELOPE, type, data: { phone } }, STRUCTURED),
      rejected({ ...ENVELOPE, data: { phone } }, { ...STRUCTURED, ce_type: type }),
      rejected({ ...ENVELOPE, type, phone }, STRUCTURED),
      rejected({ ...ENVELOPE, type, phone }),
      rejected({ phone }, { ...BINARY, ce_type: type }),
    ]) {
      assert.equal(refused.reason, "unsupported_action", type);
    }
  }
  for (const type of [
    "com.example.opt-in.revoked",
    "OptInConsentWithdrawn",
    "optin.ConsentWithdrawn",
    "opt_in_removed.v2",
    "com.example.coptin",
    "com.example.opt-out",
    "OptOutRequested",
    "opt-out.consent-revoked",
    "adoptin",
    "adopt-in",
    "com.example.options",
    "option.input",
  ]) {
    assert.ok(eventOf({ ...ENVELOPE, type, data: { phone } }, STRUCTURED));
    assert.ok(eventOf({ phone }, { ...BINARY, ce_type: type }));
  }
  assert.ok(eventOf({ phone, type: "opt-in" }), "an unknown field of a plain event");
  const twice = `{"specversion":"1.0","type":"opt-in","type":"other","data":{"phone":"${phone}"}}`;
  assert.equal(rejected(Buffer.from(twice)).reason, "ambiguous_field");
  const data = { phone };
  assert.equal(rejected({ ...ENVELOPE, action: "opt_in", data }, STRUCTURED).reason, "unsupported_action");
  assert.equal(rejected(data, { ...BINARY, ce_action: "opt_in" }).reason, "unsupported_action");
  assert.equal(rejected({ phone, action: "opt_in" }, BINARY).reason, "unsupported_action");
});

test("no envelope and no headers make the decoder throw, and every rejection has a detail without the phone", () => {
  const attribute = fc.constantFrom(...Object.keys(ENVELOPE), "data", "data_base64", "phone", "action");
  const envelope = fc.dictionary(
    attribute,
    fc.oneof(fc.jsonValue(), fc.constant({ phone }), fc.constant("1.0")),
  );
  const header = fc.constantFrom(...Object.keys(BINARY), "content-type", "__value_schema_id");
  const headerValue = fc.oneof(
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom("application/cloudevents+json", "1.0", null, undefined, 7, [], [null], ["a", "b"]),
  );
  fc.assert(
    fc.property(envelope, fc.dictionary(header, headerValue), (fields, headers) => {
      const decoded = decodeRecord({ value: Buffer.from(JSON.stringify(fields)), headers });
      if (!("reason" in decoded)) return;
      assert.notEqual(decoded.detail, "the record could not be read");
      assert.doesNotMatch(decoded.detail, /555|^$/);
    }),
  );
});

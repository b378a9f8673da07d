import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { createDecoder } from "../../src/events/decode.ts";
import type { Decoded, Rejected } from "../../src/events/event.ts";

const normalization = { defaultRegion: "US", regionBySource: { "ivr-london": "GB" } };
const decodeRecord = createDecoder({ normalization, schemas: null });

function decodeValue(value: Buffer | null): Decoded {
  const decoded = decodeRecord({ value });
  assert.ok("ok" in decoded);
  return decoded;
}

const decode = (value: unknown): Decoded =>
  decodeValue(Buffer.from(typeof value === "string" ? value : JSON.stringify(value)));

function rejected(value: unknown): Rejected {
  const decoded = value === null || Buffer.isBuffer(value) ? decodeValue(value) : decode(value);
  assert.ok(!decoded.ok, JSON.stringify(decoded));
  return decoded;
}

const eventOf = (value: unknown) => {
  const decoded = decode(value);
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.event;
};

const phone = "(212) 555-0123";

test("a bare phone is a permanent opt-out of an unknown source", () => {
  assert.deepEqual(eventOf({ phone }), {
    phone: "+12125550123",
    type: "dncl",
    expiresAt: null,
    source: "unknown",
    eventId: null,
    occurredAt: null,
  });
});

test("every field a producer gives comes through, and unknown ones are ignored", () => {
  const given = {
    phone: "tel:+1-212-555-0123",
    source: "web",
    eventId: "6f1c",
    occurredAt: "2030-01-01T10:00:00+01:00",
    expiresAt: "2035-01-01T00:00:00Z",
    action: "opt_out",
    campaign: { id: 1 },
  };
  assert.deepEqual(eventOf(given), {
    phone: "+12125550123",
    type: "dncl_expiration",
    expiresAt: "2035-01-01T00:00:00Z",
    source: "web",
    eventId: "6f1c",
    occurredAt: "2030-01-01T10:00:00+01:00",
  });
});

test("fields that are null or blank count as not given", () => {
  const blank = {
    phone,
    source: " ",
    eventId: "",
    occurredAt: null,
    expiresAt: "",
    region: "",
    action: null,
  };
  assert.deepEqual(eventOf(blank), eventOf({ phone }));
});

test("a record's region comes before its source's, that before the default", () => {
  const london = "020 7946 0958";
  assert.equal(eventOf({ phone: london, source: "ivr-london" }).phone, "+442079460958");
  assert.equal(eventOf({ phone: london, source: "ivr-london", region: "it" }).phone, "+3902079460958");
  assert.equal(rejected({ phone: london, source: "web" }).reason, "invalid_phone");
  assert.equal(rejected({ phone: london, source: "constructor" }).reason, "invalid_phone");
});

test("an unknown region is an invalid field, named if it is a short word", () => {
  const unknown = rejected({ phone, region: "USA" });
  assert.equal(unknown.reason, "invalid_field");
  assert.match(unknown.detail, /region "USA" is not a known ISO 3166 alpha-2 code/);
  assert.doesNotMatch(rejected({ phone, region: "+1 212 555 0123" }).detail, /555/);
  for (const region of [1, {}, true, "constructor", "__proto__", "ZZ"]) {
    assert.equal(rejected({ phone, region }).reason, "invalid_field");
  }
});

test("a tombstone, nothing and a truncated frame each have their own reason", () => {
  assert.equal(rejected(null).reason, "empty_value");
  assert.equal(rejected(Buffer.alloc(0)).reason, "empty_value");
  for (const length of [1, 2, 3, 4]) {
    const truncated = rejected(Buffer.alloc(length));
    assert.equal(truncated.reason, "undecodable");
    assert.match(truncated.detail, new RegExp(`ends after ${length} of 5 bytes`));
  }
});

test("bytes that aren't UTF-8, texts that aren't JSON, and JSON that isn't an object are undecodable", () => {
  for (const value of [
    Buffer.from([0xc3, 0x28]),
    Buffer.from([0xed, 0xa0, 0x80]),
    Buffer.from(`{"phone":"+12125550123"}`, "utf16le"),
    Buffer.from("{"),
    Buffer.from("+12125550123"),
    Buffer.from('{"phone":"+12125550123"} {}'),
    Buffer.from("[]"),
    Buffer.from('"+12125550123"'),
    Buffer.from("12125550123"),
    Buffer.from("null"),
    Buffer.from(" "),
  ]) {
    const undecodable = rejected(value);
    assert.equal(undecodable.reason, "undecodable");
    assert.doesNotMatch(undecodable.detail, /212/);
  }
});

test("a byte order mark is tolerated", () => {
  assert.equal(eventOf(`\ufeff{"phone":"${phone}"}`).phone, "+12125550123");
});

test("a decisive field given twice is ambiguous, unless both are the same; of others the last counts, or none", () => {
  for (const [name, json] of [
    ["phone", `{"phone":"1","phone":"${phone}"}`],
    ["phone", `{"phone":"${phone}","ph\\u006fne":"+12125550124"}`],
    ["phone", `{"phone":"${phone}","phone":null}`],
    ["action", `{"action":"opt_out","phone":"${phone}","action":"opt_in"}`],
    ["region", `{"region":"US","phone":"${phone}","region":"CA"}`],
    ["expiresAt", `{"expiresAt":null,"phone":"${phone}","expiresAt":"2035-01-01T00:00:00Z"}`],
  ]) {
    const ambiguous = rejected(json);
    assert.equal(ambiguous.reason, "ambiguous_field", json);
    assert.equal(ambiguous.detail, `${name} is given more than once, with different values`);
  }
  assert.equal(eventOf(`{"phone":"${phone}", "phone" : "${phone}"}`).phone, "+12125550123");
  assert.equal(eventOf('{"phone":"+12125550123","phone":"\\u002b12125550123"}').phone, "+12125550123");
  assert.equal(eventOf('{"phone":2125550123,"phone":2.125550123e9}').phone, "+12125550123");
  assert.equal(rejected('{"phone":2125550123,"phone":"2125550123"}').reason, "ambiguous_field");
  assert.equal(eventOf(`{"phone":"${phone}","x":1,"x":2}`).phone, "+12125550123");
  assert.equal(eventOf(`{"phone":"${phone}","x":{"phone":"1","phone":"2"}}`).phone, "+12125550123");
  const event = eventOf(`{"phone":"${phone}","eventId":"1","eventId":"2","source":"web","source":"web"}`);
  assert.deepEqual([event.eventId, event.source], [null, "web"]);
});

test("__proto__ is a key like any other", () => {
  assert.equal(rejected(`{"__proto__":{"phone":"${phone}"}}`).reason, "missing_phone");
  assert.equal(eventOf(`{"phone":"${phone}","__proto__":{"expiresAt":"x"}}`).type, "dncl");
  assert.equal(eventOf(`{"phone":"${phone}","__proto__":1,"__proto__":{"action":"x"}}`).type, "dncl");
  assert.equal(Object.hasOwn(Object.prototype, "phone"), false);
});

test("what is text but of another kind says which", () => {
  const bare = `{"phone":"${phone}"}`;
  const swapped = (bytes: Buffer): Buffer => Buffer.from(bytes).swap16();
  for (const [value, detail] of [
    [Buffer.from(bare, "utf16le"), /UTF-16: send UTF-8/],
    [Buffer.from(`\ufeff${bare}`, "utf16le"), /UTF-16: send UTF-8/],
    [swapped(Buffer.from(bare, "utf16le")), /UTF-16: send UTF-8/],
    [swapped(Buffer.from(`\ufeff${bare}`, "utf16le")), /UTF-16: send UTF-8/],
    [gzipSync(bare), /^compressed with gzip: send the value plain/],
    [Buffer.from("28b52ffd0458", "hex"), /^compressed with zstd/],
    [Buffer.concat([Buffer.from([1, 0, 0, 0, 7]), Buffer.from(bare)]), /^starts with the byte 0x01: neither/],
    [Buffer.concat([Buffer.from([0xf7]), Buffer.from(bare)]), /^neither UTF-8 text nor/],
  ] as const) {
    const undecodable = rejected(value);
    assert.equal(undecodable.reason, "undecodable");
    assert.match(undecodable.detail, detail);
  }
});

test("a lone surrogate in the phone is no digit, and none reaches what is published", () => {
  assert.equal(rejected('{"phone":"+1212\\ud8005550123"}').reason, "invalid_phone");
  for (const json of [
    `{"phone":"${phone}","eventId":"a\\udc00b","source":"we\\ud800b","occurredAt":"\\ud800"}`,
    '{"phone":"\\ud800","eventId":"a\\udc00b","source":"we\\ud800b","region":"\\ud800"}',
    `{"phone":"${phone}","eventId":"a\\udc00b","source":"we\\ud800b","region":"\\ud800"}`,
    `{"phone":"${phone}","eventId":"a\\udc00b","source":"we\\ud800b","expiresAt":"\\ud800"}`,
    `{"phone":"${phone}","eventId":"a\\udc00b","source":"we\\ud800b","action":"\\ud800"}`,
  ]) {
    const decoded = decode(json);
    const { eventId, source } = decoded.ok ? decoded.event : decoded;
    assert.deepEqual([eventId, source], ["ab", "we_b"]);
    for (const text of Object.values({ ...decoded, ...(decoded.ok && decoded.event) })) {
      assert.doesNotMatch(String(text), /\p{Cs}/u, json);
    }
  }
});

test("JSON nested a million deep is rejected or ignored, and throws nothing", () => {
  const nest = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
  assert.match(rejected(nest(1_000_000)).reason, /^(missing_phone|undecodable)$/);
  assert.equal(rejected(`${"[".repeat(1_000_000)}`).reason, "undecodable");
  const beside = decode(`{"phone":"${phone}","x":${nest(1_000_000)}}`);
  assert.ok(beside.ok || beside.reason === "undecodable");
});

test("a whole number counts as its digits", () => {
  assert.equal(eventOf({ phone: 2125550123 }).phone, "+12125550123");
  assert.equal(eventOf('{"phone": 2.125550123e9}').phone, "+12125550123");
});

test("phones that are no text and no whole number are invalid, each with its own detail", () => {
  const details = (["-2125550123", "2125550123.5", "true", "{}", "[]", "1e300"] as const).map((json) => {
    const invalid = rejected(`{"phone":${json}}`);
    assert.equal(invalid.reason, "invalid_phone");
    assert.doesNotMatch(invalid.detail, /\d/);
    return invalid.detail;
  });
  assert.equal(new Set(details).size, details.length);
});

test("a missing, null or blank phone is missing, not invalid", () => {
  for (const record of [{}, { phone: null }, { phone: "" }, { phone: " \u00a0\t" }, { Phone: phone }]) {
    assert.equal(rejected(record).reason, "missing_phone");
  }
});

test("an invalid phone says which region was assumed, and not the phone", () => {
  const invalid = rejected({
    phone: "555-0199",
    eventId: "e1",
    source: "web",
    occurredAt: "2030-01-01T00:00:00Z",
  });
  assert.equal(invalid.reason, "invalid_phone");
  assert.match(invalid.detail, /region US/);
  assert.doesNotMatch(invalid.detail, /555|0199/);
  assert.deepEqual(
    { eventId: invalid.eventId, source: invalid.source, occurredAt: invalid.occurredAt },
    { eventId: "e1", source: "web", occurredAt: "2030-01-01T00:00:00Z" },
  );
});

test("an opt-in never becomes an opt-out", () => {
  for (const action of ["opt_in", "OPT_OUT", "unknown", "optout", 1, false, {}, ["opt_out"]]) {
    assert.equal(rejected({ phone, action }).reason, "unsupported_action");
  }
  for (const action of ["", " ", "\u00a0", null, "opt_out"]) assert.ok(eventOf({ phone, action }));
});

test("a bad expiresAt neither becomes permanent nor is dropped", () => {
  for (const expiresAt of ["2030-02-30T00:00:00Z", "2030-01-01", "soon", 1_900_000_000, true, {}, []]) {
    const invalid = rejected({ phone, expiresAt });
    assert.equal(invalid.reason, "invalid_field");
    assert.match(invalid.detail, /^expiresAt is not an RFC 3339/);
  }
});

test("flaws in source, eventId and occurredAt are mended and lose no opt-out", () => {
  const mended = (fields: object) => eventOf({ phone, ...fields });
  assert.equal(mended({ source: "Web Form!" }).source, "Web_Form");
  assert.equal(mended({ source: "x".repeat(100) }).source, "x".repeat(64));
  assert.equal(mended({ source: 7 }).source, "7");
  assert.equal(mended({ source: "日本" }).source, "unknown");
  assert.equal(mended({ source: {} }).source, "unknown");
  assert.equal(mended({ source: `a${"_".repeat(1_000_000)}a!` }).source, `a${"_".repeat(63)}`);
  assert.equal(mended({ eventId: `${"e".repeat(255)}\u{1f4de}` }).eventId, "e".repeat(255));
  assert.equal(mended({ eventId: 42 }).eventId, "42");
  assert.equal(mended({ eventId: "a\u0000b\ud800" }).eventId, "ab");
  assert.equal(mended({ eventId: "e".repeat(1000) }).eventId, "e".repeat(256));
  assert.equal(mended({ eventId: [] }).eventId, null);
  assert.equal(mended({ occurredAt: "yesterday" }).occurredAt, null);
  assert.equal(mended({ occurredAt: Date.UTC(2030, 0, 1) }).occurredAt, "2030-01-01T00:00:00.000Z");
});

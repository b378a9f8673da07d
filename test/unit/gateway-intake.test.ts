import assert from "node:assert/strict";
import { test } from "node:test";
import { createIntake } from "../../src/gateway/intake.ts";

const intake = createIntake({ defaultRegion: "US", regionBySource: { ivr: "GB" } });
const json = (body: unknown, idempotencyKey?: string) =>
  intake({ body: Buffer.from(typeof body === "string" ? body : JSON.stringify(body)), idempotencyKey });
const form = (body: string) => intake({ body: new URLSearchParams(body), idempotencyKey: undefined });

function accepted(result: ReturnType<typeof intake>) {
  assert.ok(result.ok, JSON.stringify(result));
  return { ...result, value: JSON.parse(String(result.message.value)) };
}
function rejected(result: ReturnType<typeof intake>) {
  assert.ok(!result.ok);
  return result;
}

test("an opt-out becomes a record keyed by its number in E.164, with an id of its own", () => {
  const { phone, eventId, message, value } = accepted(json({ phone: "(212) 555-0123", source: "web" }));
  assert.equal(phone, "+12125550123");
  assert.equal(message.key, "+12125550123");
  assert.match(eventId, /^[0-9a-f-]{36}$/);
  assert.deepEqual(value, { eventId, phone: "+12125550123", source: "web" });
});

test("what the producer said of time and expiry is passed on", () => {
  const times = { occurredAt: "2026-01-02T03:04:05Z", expiresAt: "2031-01-02T03:04:05Z" };
  const { value } = accepted(json({ phone: "+12125550123", source: "web", ...times }));
  assert.equal(Date.parse(value.occurredAt), Date.parse(times.occurredAt));
  assert.equal(Date.parse(value.expiresAt), Date.parse(times.expiresAt));
});

test("the Idempotency-Key is the event's id, before an eventId in the body, before a new one", () => {
  assert.equal(accepted(json({ phone: "2125550123", eventId: "mine" }, "key-1")).eventId, "key-1");
  assert.equal(accepted(json({ phone: "2125550123", eventId: "mine" })).eventId, "mine");
  assert.equal(rejected(json({ phone: "2125550123" }, "two\twords")).reason, "invalid_field");
  assert.equal(rejected(json({ phone: "2125550123" }, "x".repeat(257))).reason, "invalid_field");
});

test("the region is the request's, else its source's, else the default", () => {
  assert.equal(accepted(json({ phone: "020 7183 8750", source: "ivr" })).phone, "+442071838750");
  assert.equal(accepted(json({ phone: "030 901820", region: "DE" })).phone, "+4930901820");
  assert.equal(accepted(json({ phone: 2125550123 })).phone, "+12125550123");
});

test("an Idempotency-Key may be written in quotes, as the draft has it, and is what is between them", () => {
  const idOf = (key: string) => accepted(json({ phone: "2125550123" }, key)).eventId;
  assert.equal(idOf('"key-1"'), "key-1");
  assert.equal(idOf('"a \\"b\\" \\\\"'), 'a "b" \\');
  assert.equal(idOf('key "1"'), 'key "1"');
  for (const wrong of [
    '"',
    '""',
    '"key-1',
    '"key-1"; a=b',
    '"a", "b"',
    '"\\a"',
    '" "',
    `"${"x".repeat(257)}"`,
  ]) {
    assert.equal(rejected(json({ phone: "2125550123" }, wrong)).reason, "invalid_field", wrong);
  }
});

test("what an IVR has is taken: digits as dialled, with or without a country code, a # at the end, or an integer", () => {
  const digits = ["2125550123", "12125550123", 2125550123, 12125550123];
  const dialled = [...digits, "2125550123#", " 1 212 555 0123 # ", "+12125550123#", " + 1 212 555 0123 #"];
  for (const phone of dialled) {
    const { value } = accepted(json({ phone, region: "US", source: "ivr" }));
    assert.equal(value.phone, "+12125550123", String(phone));
    assert.equal(value.source, "ivr");
  }
  assert.equal(accepted(form("phone=2125550123%23&region=US")).phone, "+12125550123");
  assert.equal(accepted(form("phone=%2B12125550123%23")).phone, "+12125550123");
  for (const phone of ["2125550123##", "212#5550123", "21255501#", "#", "2125550123*9#"]) {
    assert.equal(rejected(json({ phone, region: "US" })).reason, "invalid_phone", phone);
  }
  const marked = (phone: string) => json(`\ufeff${JSON.stringify({ phone })}`);
  assert.equal(accepted(marked("2125550123#")).phone, "+12125550123", "behind a byte order mark");
  assert.equal(rejected(marked("21255501#")).reason, "invalid_phone");
});

test("what the relay would reject is refused with the same reason", () => {
  assert.equal(rejected(json({ source: "web" })).reason, "missing_phone");
  assert.equal(rejected(json({ phone: "555-0123" })).reason, "invalid_phone");
  assert.equal(rejected(json({ phone: "2125550123", action: "opt_in" })).reason, "unsupported_action");
  assert.equal(rejected(json({ phone: "2125550123", expiresAt: "soon" })).reason, "invalid_field");
  assert.equal(rejected(json("{")).reason, "undecodable");
  assert.equal(rejected(json([{ phone: "2125550123" }])).reason, "undecodable");
  assert.equal(rejected(json("")).reason, "empty_value");
  assert.equal(rejected(json("\0\0\0\0\x01{}")).reason, "undecodable");
});

test("no detail holds the number", () => {
  for (const body of [{ phone: "21255501" }, { phone: "2125550123", action: "x" }, "2125550123"]) {
    assert.doesNotMatch(JSON.stringify(rejected(json(body))), /2125550/);
  }
});

test("a form is taken as well", () => {
  const { value } = accepted(form("phone=%2B12125550123&source=ivr&occurredAt=2026-01-02T03%3A04%3A05Z"));
  assert.equal(value.phone, "+12125550123");
  assert.equal(value.source, "ivr");
  assert.equal(rejected(form("phone=2125550123&phone=2125550124")).reason, "undecodable");
  const many = Array.from({ length: 2_000 }, (_, index) => `f${index}=`).join("&");
  assert.equal(accepted(form(`${many}&phone=2125550123`)).phone, "+12125550123");
  assert.equal(rejected(form(`phone=2125550123&${many}&f1999=`)).reason, "undecodable");
  assert.equal(rejected(form("source=web")).reason, "missing_phone");
  assert.equal(rejected(form("")).reason, "missing_phone");
});

test("JSON that came as a form, as curl sends it unless told otherwise, is refused with what to do", () => {
  for (const body of [
    '{"phone":"2125550123"}',
    ' {"phone":"+12125550123","source":"web"}',
    '[{"phone":"1"}]',
  ]) {
    const { reason, detail } = rejected(form(body));
    assert.equal(reason, "undecodable");
    assert.match(detail, /looks like JSON: send content-type: application\/json$/);
  }
  assert.equal(rejected(form("telephone=2125550123")).reason, "missing_phone");
});

test("in a form a plus that wasn't encoded is understood", () => {
  assert.equal(accepted(form("phone=+12125550123")).phone, "+12125550123");
  assert.equal(accepted(form("phone=+442071838750")).phone, "+442071838750");
});

test("in a form a stray blank before the number is harmless", () => {
  assert.equal(accepted(form("phone=+2125550123")).phone, "+12125550123");
});

test("a form's number that is valid with and without the plus is refused rather than guessed", () => {
  // +65 8223 4567 in Singapore, (658) 223-4567 in Jamaica.
  const { reason, detail } = rejected(form("phone=+6582234567"));
  assert.equal(reason, "invalid_phone");
  assert.match(detail, /%2B/);
  assert.equal(accepted(form("phone=%2B6582234567")).phone, "+6582234567");
});

test("in a form a plus that wasn't encoded never makes it another person's number, however it was written", () => {
  const regions = ["US", "GB", "DE", "AT", "FR", "IT", "BR", "IN", "ID", "CN", "AU", "MX"] as const;
  const written = {
    "+442079460958": [
      "+(44) 20 7946 0958",
      "+ 44 20 7946 0958",
      "(+44) 20 7946 0958",
      "tel: +44 20 7946 0958",
    ],
    "+12125550123": ["+(1) 212-555-0123", "+ 1 212 555 0123", "+1 212 555 0123#"],
    "+4930901820": ["+(49) 30 901820", "+49 30 901820"],
    "+33142685300": ["+ 33 1 42 68 53 00", "+(33) 1 42 68 53 00"],
  };
  const results = { taken: 0, refused: 0 };
  for (const defaultRegion of regions) {
    const read = createIntake({ defaultRegion, regionBySource: {} });
    for (const [meant, phones] of Object.entries(written)) {
      for (const phone of phones) {
        const body = new URLSearchParams(`phone=${phone.replaceAll(" ", "+")}`);
        const result = read({ body, idempotencyKey: undefined });
        if (result.ok) assert.equal(result.phone, meant, `${phone} in ${defaultRegion}`);
        else assert.match(result.detail, /%2B/, `${phone} in ${defaultRegion}`);
        results[result.ok ? "taken" : "refused"] += 1;
      }
    }
  }
  // Refused is only what could be a number of the region as well.
  assert.ok(results.taken > 100 && results.refused > 0, JSON.stringify(results));
});

test("in a form a number valid at home and abroad is refused, whatever stands before its digits", () => {
  const german = createIntake({ defaultRegion: "DE", regionBySource: {} });
  for (const phone of [
    "+(44)+20+7946+0958",
    "++44+20+7946+0958",
    "(+44)+20+7946+0958",
    "Tel.:+44+20+7946+0958",
  ]) {
    const result = rejected(
      german({ body: new URLSearchParams(`phone=${phone}`), idempotencyKey: undefined }),
    );
    assert.equal(result.reason, "invalid_phone", phone);
    assert.match(result.detail, /%2B/, phone);
  }
  // A plus that is encoded leaves nothing to guess.
  for (const phone of ["%2B(44)+20+7946+0958", "+%2B44+20+7946+0958", "(%2B44)+20+7946+0958"]) {
    const result = accepted(
      german({ body: new URLSearchParams(`phone=${phone}`), idempotencyKey: undefined }),
    );
    assert.equal(result.phone, "+442079460958", phone);
  }
});

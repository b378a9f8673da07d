import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { maskPhone, normalizePhone } from "../../src/phone/normalize.ts";

const row = z.object({ input: z.string(), region: z.string().nullable(), e164: z.string().nullable() });

const rows = readFileSync("test/data/phones.ndjson", "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => row.parse(JSON.parse(line)));

const e164Of = (input: string, region?: string): string | null => {
  const phone = normalizePhone(input, region);
  return phone.ok ? phone.e164 : null;
};

test("every row of Google's answers comes out right", () => {
  const mismatches = rows
    .map((each) => ({ ...each, got: e164Of(each.input, each.region ?? undefined) }))
    .filter(({ e164, got }) => e164 !== got);
  assert.equal(rows.length, 1616);
  assert.deepEqual(mismatches, []);
});

/** Beyond the rows: each answer was had from Google's Java library, 9.0.43. */
const GOOGLES: [input: string, region: string | undefined, e164: string | null][] = [
  ["(530) 583-6985 x302/x2303", "US", "+15305836985"],
  ["212-555-0123, 7", "US", "+12125550123"],
  ["212-555-0123,,7#", "US", "+12125550123"],
  ["212-555-0123 - 7#", "US", "+12125550123"],
  ["495 123-45-67 доб. 12", "RU", "+74951234567"],
  ["810 12 34 56 anexo 5", "ES", "+34810123456"],
  ["\u202a+1 212 555 0123\u202c", "US", "+12125550123"],
  ["\ufeff2125550123", "US", "+12125550123"],
  ["212\u00ad555\u20600123", "US", "+12125550123"],
  ["212\u200e5550123", "US", null],
  ["२१२ ५५५ ०१२३", "US", "+12125550123"],
  ["＋1 212 555 0123", "US", "+12125550123"],
  ["+011 44 20 7946 0958", "US", "+442079460958"],
  ["011 44 20 7946 0958", "US", "+442079460958"],
  ["0044 20 7946 0958", undefined, null],
  ["+44 (0) 20 7946 0958", "GB", "+442079460958"],
  ["tel:2125550123;phone-context=+1", undefined, "+12125550123"],
  ["tel:2125550123;phone-context=example.com", "US", "+12125550123"],
  ["tel:2125550123;phone-context=+", "US", null],
  ["tel:+1-212-555-0123;ext=9", undefined, "+12125550123"],
  ["Phone: 212.555.0123.", "US", "+12125550123"],
  ["212 555 0123 / 212 555 0124", "US", null],
  ["sip:+12125550123@example.com", "US", null],
  ["21255501AB23", "US", "+12125550123"],
  ["011 15-3456-7890", "AR", "+5491134567890"],
  ["0 15 11 91234-5678", "BR", "+5511912345678"],
  ["2125550123", "ZZ", null],
  ["+12125550123", "ZZ", "+12125550123"],
  ["+999 123 4567", "US", null],
  ["112", "US", null],
];

test("extensions, URIs, scripts, invisible characters and international prefixes are read as Google reads them", () => {
  for (const [input, region, e164] of GOOGLES) assert.equal(e164Of(input, region), e164, input);
});

test("the retired Mexican mobile form loses its 1 wherever the country code is written", () => {
  assert.equal(e164Of("+52 1 55 1234 5678"), "+525512345678");
  assert.equal(e164Of("011 52 1 55 1234 5678", "US"), "+525512345678");
  assert.equal(e164Of("5215512345678", "MX"), "+525512345678");
  assert.equal(e164Of("+52 1 000 123 4567"), null);
  assert.equal(e164Of("1 55 1234 5678", "MX"), null);
});

test("a detail names the region assumed and never the number", () => {
  const detailOf = (input: string, region?: string): string => {
    const phone = normalizePhone(input, region);
    assert.ok(!phone.ok);
    return phone.detail;
  };
  assert.match(detailOf("555-0123", "US"), /not a valid number for region US/);
  assert.match(detailOf("2125550123"), /no country code.*no known region/);
  assert.match(detailOf("2125550123", "5550123"), /no known region/);
  assert.match(detailOf("+1 212 555 012", "US"), /^written internationally/);
  assert.match(detailOf("call me", "US"), /does not read as a phone/);
  for (const { input, region, e164 } of rows) {
    if (e164 === null) assert.doesNotMatch(detailOf(input, region ?? undefined), /\p{Nd}/u);
  }
});

test("a text of 250 characters is read, a longer one is not", () => {
  const padded = (length: number): string => "+12125550123".padEnd(length, " ");
  assert.equal(e164Of(padded(250)), "+12125550123");
  assert.deepEqual(normalizePhone(padded(251), "US"), { ok: false, detail: "longer than 250 characters" });
});

test("texts made to backtrack are refused within milliseconds", () => {
  const hostile = ["123", "+", "1;phone-context=", "212 555 0123 ext"].flatMap((start) =>
    [",", " ", " ,", "x", "~", "-", "(", "a", "a-", "#", "1 ", " ext", "1!", "٣"].flatMap((piece) =>
      ["", "!", "é", "#a1", ";"].map((end) => (start + piece.repeat(250)).slice(0, 246) + end),
    ),
  );
  const startedAt = process.cpuUsage();
  for (const text of hostile) normalizePhone(text, "US");
  const { user, system } = process.cpuUsage(startedAt);
  // About 0.3 ms each; a cubic pattern takes tens of them, an exponential one never ends.
  assert.ok((user + system) / 1000 / hostile.length < 10);
});

const region = fc.option(fc.constantFrom("US", "GB", "MX", "DE", "IT", "AR", "BR", "JE", "KZ", "ZZ"), {
  nil: undefined,
});

/** Numbers of all countries, damaged in the ways people and programs do. */
const nearlyPhone = fc
  .tuple(
    fc.constantFrom(...rows.map(({ input }) => input)),
    fc.constantFrom("", "+", "00", "011", "0", "1", "tel:", "+00"),
    fc.constantFrom("", "0", "23", " ext 4", "x5", ";isub=1", "\u200b", "abc"),
    fc.nat(8),
  )
  .map(([input, before, after, cut]) => before + input.slice(cut > 5 ? 1 : 0) + after);

test("whatever is put in, what comes out is E.164 and comes out of itself", () => {
  const valid = (text: string, from: string | undefined): void => {
    const phone = normalizePhone(text, from);
    if (!phone.ok) return;
    assert.match(phone.e164, /^\+[1-9]\d{6,14}$/);
    assert.deepEqual(normalizePhone(phone.e164, undefined), phone);
    assert.deepEqual(normalizePhone(phone.e164, from), phone);
  };
  fc.assert(fc.property(nearlyPhone, region, valid), { numRuns: 2_000 });
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), region, valid), { numRuns: 1_000 });
  const utf16 = fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)), maxLength: 60 });
  fc.assert(fc.property(utf16, region, valid), { numRuns: 1_000 });
  for (const { input, region } of rows) valid(input, region ?? undefined);
});

test("a masked phone shows its last two digits and nothing else that was dialled", () => {
  assert.equal(maskPhone("+12125550123"), "+*********23");
  assert.equal(maskPhone("(212) 555-0123 ext. x"), "(***) ***-**23 ***. *");
  assert.equal(maskPhone("1-800-GOT-JUNK"), "*-*00-***-****");
  assert.equal(maskPhone("٢١٢٣"), "**٢٣");
  assert.equal(maskPhone("no number"), "** ******");
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const shown = maskPhone(text).match(/[\p{L}\p{N}]/gu) ?? [];
      assert.ok(shown.length <= 2);
    }),
  );
});

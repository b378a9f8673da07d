import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fastDigits, fastE164 } from "../../src/phone/fast.ts";
import { normalizeFully, normalizePhone } from "../../src/phone/normalize.ts";
import { readDigits } from "../../src/phone/text.ts";
import { fuzz } from "../support/fuzz.ts";
import { phoneMix } from "../support/phone-mix.ts";
import { CALLING_CODES, writtenPhone } from "./phone-arbitraries.ts";

/** From the text to the number, all the short way. */
function fast(text: string, region: string | undefined): ReturnType<typeof fastE164> {
  const digits = fastDigits(text);
  return digits === undefined ? undefined : fastE164(digits, region);
}

describe("the short way of phone normalisation", () => {
  test("answers as the long one for numbers of all countries, however they are written", (context) => {
    const answered = new Map(CALLING_CODES.map((code) => [code, 0]));
    const counts = { valid: 0, invalid: 0, unsaid: 0, unread: 0 };
    fuzz(
      writtenPhone,
      ({ text, region }) => {
        const digits = readDigits(text);
        const plain = fastDigits(text);
        if (plain !== undefined) assert.equal(plain, digits);
        const fully = normalizeFully(text, region);
        assert.deepEqual(normalizePhone(text, region), fully);
        if (digits === undefined) {
          counts.unread += 1;
          return;
        }
        const e164 = fastE164(digits, region);
        if (typeof e164 === "string") {
          assert.deepEqual(fully, { ok: true, e164 });
          counts.valid += 1;
          const code = CALLING_CODES.find((each) => e164.startsWith(`+${each}`)) ?? "";
          answered.set(code, (answered.get(code) ?? 0) + 1);
        } else if (e164 === null) {
          assert.equal(fully.ok, false);
          counts.invalid += 1;
        } else {
          counts.unsaid += 1;
        }
      },
      100_000,
    );
    context.diagnostic(JSON.stringify(counts));
    const never = [...answered].filter(([, count]) => count === 0).map(([code]) => code);
    assert.deepEqual(never, [], "calling codes for which it has no answer");
    const all = counts.valid + counts.invalid + counts.unsaid;
    assert.ok(counts.valid / all > 0.3 && counts.invalid / all > 0.3, "so few answers say nothing");
  });

  test("is gone for all phones as they come, and nearly always from the text on", (context) => {
    const phones = phoneMix(10_000);
    const plain = phones.filter(({ text }) => fastDigits(text) !== undefined).length;
    context.diagnostic(`${(plain / phones.length) * 100} % from the text on`);
    assert.ok(plain / phones.length >= 0.95);
    for (const { text, region } of phones) {
      assert.notEqual(fastE164(readDigits(text) ?? "", region), undefined, text);
      assert.deepEqual(normalizePhone(text, region), normalizeFully(text, region));
    }
  });

  /** Where the library's answer isn't what the digits look like. */
  const TRICKY: [text: string, region: string | undefined, e164: ReturnType<typeof fast>][] = [
    ["1-212-555-0123", "US", "+12125550123"],
    ["+1 1 212 555 0123", undefined, "+12125550123"],
    ["+44 (0) 20 7946 0958", undefined, "+442079460958"],
    ["020 7946 0958", "GB", "+442079460958"],
    ["07797 712345", "GB", "+447797712345"],
    ["+7 812 123 45 67", undefined, "+78121234567"],
    ["8 812 123 45 67", "RU", "+78121234567"],
    ["+39 06 6982 1234", undefined, "+390669821234"],
    ["( +1 ) 212/555.0123 -", undefined, "+12125550123"],
    // An international prefix, and none.
    ["011 44 20 7946 0958", "US", "+442079460958"],
    ["8~10 44 20 7946 0958", "RU", undefined],
    ["810 44 20 7946 0958", "RU", "+442079460958"],
    ["011 44 20 7946 095", "US", null],
    ["00 0 20 7946 0958", "GB", null],
    ["00", "GB", undefined],
    // A plus forgotten: only if the digits aren't a number of the region as they stand.
    ["44 20 7946 0958", "GB", "+442079460958"],
    ["49 151 23456789", "DE", "+494915123456789"],
    ["1 242 365 1234", "BS", "+12423651234"],
    ["55 800 686739", "BR", undefined],
    ["44 20 7946 0958", "GG", undefined],
    ["44 20 7946 095", "GB", null],
    // No country's number.
    ["+1 212 555 012", "US", null],
    ["+1 155 555 0123", "US", null],
    ["555-0123", "US", null],
    ["2125550123", undefined, null],
    ["2125550123", "constructor", null],
    // Of a length that the main country of the plan has not.
    ["310 1234", "CA", "+13101234"],
    ["310 1234", "US", undefined],
    // A prefix that rewrites the number, a plus before an international one, a retired form: the long way knows.
    ["011 15 3456 7890", "AR", undefined],
    ["555 0123", "BB", undefined],
    ["+011 44 20 7946 0958", "US", undefined],
    ["+810 1", "RU", undefined],
    ["+1411 0011 61 2 4108 8999", "AU", undefined],
    ["+52 1 55 1234 5678", undefined, undefined],
    // Not plainly written.
    ["212-555-0123 x5", "US", undefined],
    ["212-555-0123 ~5", "US", undefined],
    ["1+2125550123", "US", undefined],
    ["+", "US", undefined],
    ["", "US", undefined],
  ];

  test("reads prefixes as the library does, and leaves to the long way what isn't plain", () => {
    for (const [text, region, e164] of TRICKY) {
      assert.equal(fast(text, region), e164, text);
      const fully = normalizeFully(text, region);
      assert.deepEqual(normalizePhone(text, region), fully, text);
      if (typeof e164 === "string") assert.deepEqual(fully, { ok: true, e164 }, text);
      if (e164 === null) assert.equal(fully.ok, false, text);
    }
  });
});

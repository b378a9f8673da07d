import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fastDigits, fastE164 } from "../../src/phone/fast.ts";
import { normalizeFully, normalizePhone } from "../../src/phone/normalize.ts";
import { readDigits } from "../../src/phone/text.ts";
import { fuzz } from "../support/fuzz.ts";
import { phoneMix } from "../support/phone-mix.ts";
import { CALLING_CODES, writtenPhone } from "./phone-arbitraries.ts";

/** From the text to the number, all the short way. */
function fast(text: string, region: string | undefined): string | undefined {
  const digits = fastDigits(text);
  return digits === undefined ? undefined : fastE164(digits, region);
}

describe("the short way of phone normalisation", () => {
  test("answers as the long one for numbers of all countries, however they are written", (context) => {
    const answered = new Map(CALLING_CODES.map((code) => [code, 0]));
    let [all, short] = [0, 0];
    fuzz(
      writtenPhone,
      ({ text, region }) => {
        all += 1;
        const digits = readDigits(text);
        const plain = fastDigits(text);
        if (plain !== undefined) assert.equal(plain, digits);
        const e164 = digits === undefined ? undefined : fastE164(digits, region);
        if (e164 === undefined) return;
        assert.deepEqual(normalizeFully(text, region), { ok: true, e164 });
        short += 1;
        const code = CALLING_CODES.find((each) => e164.startsWith(`+${each}`)) ?? "";
        answered.set(code, (answered.get(code) ?? 0) + 1);
      },
      200_000,
    );
    context.diagnostic(`${all} texts, ${short} answered the short way`);
    const never = [...answered].filter(([, count]) => count === 0).map(([code]) => code);
    assert.deepEqual(never, [], "calling codes for which it has no answer");
    assert.ok(short / all > 0.3, "so few answers say nothing");
  });

  test("is gone for at least nine of ten phones as they come", (context) => {
    const phones = phoneMix(10_000);
    const short = phones.filter(({ text, region }) => fast(text, region) !== undefined).length;
    context.diagnostic(`${(short / phones.length) * 100} %`);
    assert.ok(short / phones.length >= 0.9);
    for (const { text, region } of phones) {
      assert.deepEqual(normalizePhone(text, region), normalizeFully(text, region));
    }
  });

  /** Where the library's answer isn't what the digits look like. */
  const TRICKY: [text: string, region: string | undefined, e164: string | undefined][] = [
    ["1-212-555-0123", "US", "+12125550123"],
    ["+1 1 212 555 0123", undefined, "+12125550123"],
    ["+44 (0) 20 7946 0958", undefined, "+442079460958"],
    ["020 7946 0958", "GB", "+442079460958"],
    ["07797 712345", "GB", "+447797712345"],
    ["+7 812 123 45 67", undefined, "+78121234567"],
    ["8 812 123 45 67", "RU", "+78121234567"],
    ["+39 06 6982 1234", undefined, "+390669821234"],
    ["( +1 ) 212/555.0123 -", undefined, "+12125550123"],
    // A prefix that rewrites the number, an international one, a forgotten plus: the long way knows.
    ["011 15 3456 7890", "AR", undefined],
    ["555 0123", "BB", undefined],
    ["011 44 20 7946 0958", "US", undefined],
    ["44 20 7946 0958", "GB", undefined],
    ["+52 1 55 1234 5678", undefined, undefined],
    ["2125550123", undefined, undefined],
    ["2125550123", "constructor", undefined],
    ["+1 212 555 012", "US", undefined],
    ["212-555-0123 x5", "US", undefined],
    ["212-555-0123 ~5", "US", undefined],
    ["1+2125550123", "US", undefined],
    ["+", "US", undefined],
    ["", "US", undefined],
  ];

  test("reads national prefixes as the library does, and leaves to the long way what isn't plain", () => {
    for (const [text, region, e164] of TRICKY) {
      assert.equal(fast(text, region), e164, text);
      if (e164 !== undefined) assert.deepEqual(normalizeFully(text, region), { ok: true, e164 }, text);
    }
  });
});

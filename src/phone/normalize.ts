import {
  type CountryCode,
  isSupportedCountry,
  type PhoneNumber,
  parsePhoneNumberFromString,
} from "libphonenumber-js/max";
import { fastDigits, fastE164 } from "./fast.ts";
import { MAX_PHONE_LENGTH, readDigits } from "./text.ts";

export type NormalizedPhone = { ok: true; e164: string } | { ok: false; detail: string };

/**
 * Any human form of a phone number → E.164, with the answers of Google's libphonenumber (parse, then isValidNumber),
 * and one addition: the retired Mexican mobile form `+52 1 …` becomes `+52 …`.
 * @param region ISO 3166 alpha-2 in capitals, assumed for numbers written without a country code.
 * @returns a detail that names the region assumed, and never holds any part of the number.
 */
export function normalizePhone(input: string, region: string | undefined): NormalizedPhone {
  if (input.length > MAX_PHONE_LENGTH) return reject(`longer than ${MAX_PHONE_LENGTH} characters`);
  const digits = fastDigits(input) ?? readDigits(input);
  const e164 = digits === undefined ? undefined : fastE164(digits, region);
  if (digits === undefined || e164 === undefined) return judge(digits, region);
  return e164 === null ? rejectNumber(digits, region) : { ok: true, e164 };
}

/** The same answer all by the long way, for the short one to be held against it. */
export const normalizeFully = (input: string, region: string | undefined): NormalizedPhone =>
  judge(readDigits(input), region);

function judge(digits: string | undefined, region: string | undefined): NormalizedPhone {
  if (digits === undefined) return reject("does not read as a phone number");
  const e164 = validNumber(digits, region);
  if (e164 !== undefined && E164.test(e164)) return { ok: true, e164 };
  return rejectNumber(digits, region);
}

function rejectNumber(digits: string, region: string | undefined): NormalizedPhone {
  if (digits.startsWith("+")) return reject("written internationally, but not a valid number of any country");
  if (region === undefined || !isRegion(region)) {
    return reject("has no country code, and there is no known region to assume one from");
  }
  return reject(`not a valid number for region ${region}`);
}

/** Google also calls some German texts valid that are longer than the 15 digits a number can have. */
const E164 = /^\+[1-9]\d{6,14}$/;

/** Whether numbering plans know this region: ISO 3166 alpha-2, in capitals. */
export const isRegion = (region: string): region is CountryCode =>
  /^[A-Z]{2}$/.test(region) && isSupportedCountry(region);

/** Everything but the last two digits hidden, for texts that may show a phone: letters too, since they can be dialled. */
export function maskPhone(text: string): string {
  const digits = [...text.matchAll(/\p{Nd}/gu)];
  const shownFrom = digits.at(-2)?.index ?? text.length;
  return text.replace(/[\p{N}\p{L}]/gu, (char, at: number) =>
    at >= shownFrom && /\p{Nd}/u.test(char) ? char : "*",
  );
}

/** So many of a number's digits, without its area code, are enough to know it by. */
const TELLING_DIGITS = 7;

/** A producer may have made its event id, or its source, of the number, or of nothing but digits that may be one. */
export function withoutPhone(text: string, phone: string | null): string {
  const hasIt = phone !== null && text.replace(/\D/g, "").includes(phone.slice(-TELLING_DIGITS));
  return hasIt || /^[+()\d\s./_-]{7,}$/.test(text) ? maskPhone(text) : text;
}

const reject = (detail: string): NormalizedPhone => ({ ok: false, detail });

function validNumber(digits: string, region: string | undefined): string | undefined {
  const parsed = parse(digits, region);
  if (parsed?.isValid()) return parsed.number;
  if (parsed === undefined) return validDespitePlus(digits, region);
  const mobile = RETIRED_MEXICAN_MOBILE.exec(parsed.number)?.[1];
  // Only where the text itself says 52: at home, a number that starts with 1 is more likely a foreign one.
  if (mobile && countryCodeSource(parsed) !== undefined) return validNumber(`+52${mobile}`, undefined);
  return undefined;
}

const RETIRED_MEXICAN_MOBILE = /^\+521(\d{10})$/;

/** "+011 44 …" means "011 44 …": Google forgives a plus before the international prefix of the region. */
function validDespitePlus(digits: string, region: string | undefined): string | undefined {
  const parsed = digits.startsWith("+") ? parse(digits.slice(1), region) : undefined;
  if (parsed === undefined || countryCodeSource(parsed) !== "FROM_NUMBER_WITH_IDD") return undefined;
  return parsed.isValid() ? parsed.number : undefined;
}

function parse(digits: string, region: string | undefined): PhoneNumber | undefined {
  const known = region !== undefined && isRegion(region);
  return parsePhoneNumberFromString(digits, { extract: false, ...(known && { defaultCountry: region }) });
}

/** How the country code was written; undefined if it was assumed. The library knows, but its types don't say so. */
const countryCodeSource = (parsed: PhoneNumber): unknown =>
  "__countryCallingCodeSource" in parsed ? parsed.__countryCallingCodeSource : undefined;

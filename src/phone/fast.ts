/**
 * The short way to the answer that `normalizePhone` has for most numbers. libphonenumber-js builds and runs some twenty
 * patterns for each number; here those of a country are built once, from its own metadata, and four are run.
 * It only ever says that a number is certainly valid, by the rules of the library's `parse` and `isValid`: national
 * prefixes that rewrite a number, international ones and a forgotten plus are left to the long way.
 * Worth: see `bench/README.md`.
 */
import metadata from "libphonenumber-js/max/metadata";

/** How a country numbers its phones. Patterns are anchored as the library anchors them. */
interface Plan {
  country: string | undefined;
  callingCode: string;
  internationalPrefix: RegExp;
  nationalPrefix: RegExp | undefined;
  general: RegExp;
  valid: RegExp;
  lengths: readonly number[];
  /** Numbers of a shared calling code that are this country's, valid or not; without it, those that are valid are. */
  leadingDigits: RegExp | undefined;
}

/** ASCII digits between separators that no extension begins with: `readDigits` takes out the same ones. */
const PLAIN = /^[ ()./-]*(?:\+[ ()./-]*)?\d[\d ()./-]*$/;
const SEPARATORS = /[ ()./-]+/g;
/** With prefixes; what is longer has no E.164 form. */
const MAX_WRITTEN_DIGITS = 20;
const [MIN_E164_LENGTH, MAX_E164_LENGTH] = ["+".length + 7, "+".length + 15];

/** The E.164 form of a number that is plainly written and certainly valid. Undefined says nothing about the number. */
export function fastE164(text: string, region: string | undefined): string | undefined {
  if (!PLAIN.test(text)) return undefined;
  const written = text.replace(SEPARATORS, "");
  if (written.length > MAX_WRITTEN_DIGITS) return undefined;
  return written.startsWith("+") ? fromInternational(written.slice(1)) : fromNational(written, region);
}

function fromInternational(digits: string): string | undefined {
  for (let length = 1; length <= 3; length += 1) {
    const plans = plansOf(digits.slice(0, length));
    const [main] = plans;
    if (main !== undefined) return validNumber(digits.slice(length), main, plans);
  }
  return undefined;
}

function fromNational(digits: string, region: string | undefined): string | undefined {
  const callingCode = region === undefined ? undefined : CALLING_CODES.get(region);
  if (callingCode === undefined) return undefined;
  const plans = plansOf(callingCode);
  const plan = plans.find(({ country }) => country === region);
  if (plan === undefined || plan.internationalPrefix.test(digits)) return undefined;
  return validNumber(digits, plan, plans);
}

/** @param plan by which it is read; it may turn out to be the number of another one with the same calling code. */
function validNumber(digits: string, plan: Plan, plans: readonly Plan[]): string | undefined {
  const national = withoutPrefix(digits, plan);
  if (national === undefined) return undefined;
  const owner = ownerOf(national, plans);
  // For other lengths the library may have left the prefix, or taken the first digits for a country code without plus.
  if (!owner?.lengths.includes(national.length) || !plan.lengths.includes(national.length)) return undefined;
  const e164 = `+${plan.callingCode}${national}`;
  return e164.length >= MIN_E164_LENGTH && e164.length <= MAX_E164_LENGTH ? e164 : undefined;
}

/** Undefined if the prefix isn't just left out, or nothing fits the plan. */
function withoutPrefix(digits: string, { nationalPrefix, general }: Plan): string | undefined {
  const prefix = nationalPrefix?.exec(digits);
  if (prefix?.slice(1).some(Boolean)) return undefined;
  const rest = digits.slice(prefix?.[0].length);
  if (general.test(rest)) return rest;
  return prefix && general.test(digits) ? digits : undefined;
}

/** The country that has this number, valid. */
function ownerOf(national: string, plans: readonly Plan[]): Plan | undefined {
  const owner = plans.find(({ leadingDigits, valid }) => (leadingDigits ?? valid).test(national));
  return owner?.valid.test(national) ? owner : undefined;
}

const CALLING_CODES: ReadonlyMap<string, string> = new Map(
  Object.entries(metadata.countries).map(([country, plan]) => [country, plan[0]]),
);

const plansByCallingCode = new Map<string, readonly Plan[]>();

/** Of the countries that share a calling code, the main one first. Compiled when a number first needs them. */
function plansOf(callingCode: string): readonly Plan[] {
  const known = plansByCallingCode.get(callingCode);
  if (known !== undefined) return known;
  const { countries, country_calling_codes: sharing, nonGeographic } = metadata;
  const plans = sharing[callingCode]?.map((country) => compile(countries[country] ?? [], country)) ?? [];
  const international = nonGeographic[callingCode];
  if (international !== undefined) plans.push(compile(international));
  plansByCallingCode.set(callingCode, plans);
  return plans;
}

/** @param plan as the library packs it: what stands where is in its `source/metadata.js`. */
function compile(plan: (typeof metadata.nonGeographic)[string], country?: string): Plan {
  const [callingCode, idd, general, lengths, , prefix, , prefixForParsing, , , leadingDigits, types] = plan;
  const kinds: [pattern: string, lengths?: number[]][] = (types || [[general]]).filter(Boolean);
  const ofKinds = kinds.flatMap(([pattern, ofKind = lengths]) =>
    pattern === "" ? [] : [ofLengths(ofKind) + group(pattern)],
  );
  return {
    country,
    callingCode,
    internationalPrefix: startingWith(idd),
    nationalPrefix: prefixForParsing || prefix ? startingWith(prefixForParsing || prefix) : undefined,
    general: entirely(general),
    valid: entirely(`(?=${group(general)}$)${group(ofKinds.join("|"))}`),
    lengths,
    leadingDigits: leadingDigits ? startingWith(leadingDigits) : undefined,
  };
}

const group = (pattern: string): string => `(?:${pattern})`;
const ofLengths = (lengths: number[]): string =>
  `(?=${group(lengths.map((each) => `.{${each}}`).join("|"))}$)`;
const startingWith = (pattern: string): RegExp => new RegExp(`^${group(pattern)}`);
const entirely = (pattern: string): RegExp => new RegExp(`^${group(pattern)}$`);

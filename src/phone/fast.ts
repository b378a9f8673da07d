/**
 * The short way to the answer that `normalizePhone` has for nearly all numbers. libphonenumber-js builds and runs some
 * twenty patterns for each; here those of a country are built once, from the library's own metadata, and four or so are run.
 * It only says what is certain by the rules of the library's `parse` and `isValid`: that a number is valid; or that it
 * isn't, since no way to read it is valid for any country with its calling code. National prefixes that rewrite a number
 * are left to the long way, and all that is rare.
 * Worth: 0.5 to 1 µs for a number, 1 to 2 for one that isn't valid, instead of 7 to 30 (`npm run bench -- phone`).
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

/** Three ASCII digits or more, between separators that no extension begins with. */
const PLAIN = /^[ ()./-]*(?:\+[ ()./-]*)?\d[ ()./-]*\d[ ()./-]*\d[\d ()./-]*$/;
const SEPARATORS = /[ ()./-]+/g;
const [MIN_E164_LENGTH, MAX_E164_LENGTH] = ["+".length + 7, "+".length + 15];

/** What `readDigits` reads from a text that is plainly written; undefined says nothing about the text. */
export const fastDigits = (text: string): string | undefined =>
  PLAIN.test(text) ? text.replace(SEPARATORS, "") : undefined;

/** The E.164 form of a valid number; null for one that certainly isn't valid; undefined says nothing about the number. */
type Answer = string | null | undefined;

/** @param digits with a plus before them if they were written internationally. */
export const fastE164 = (digits: string, region: string | undefined): Answer =>
  digits.startsWith("+") ? fromInternational(digits.slice(1)) : fromNational(digits, region);

function fromInternational(digits: string): Answer {
  for (let length = 1; length <= 3; length += 1) {
    const plans = plansOf(digits.slice(0, length));
    const [main] = plans;
    if (main !== undefined) return answerBy(main, digits.slice(length), plans);
  }
  return undefined;
}

function fromNational(digits: string, region: string | undefined): Answer {
  const callingCode = region === undefined ? undefined : CALLING_CODES.get(region);
  if (callingCode === undefined) return null;
  const plans = plansOf(callingCode);
  const plan = plans.find(({ country }) => country === region);
  if (plan === undefined) return undefined;
  const abroad = digits.slice(plan.internationalPrefix.exec(digits)?.[0].length ?? digits.length);
  // No calling code begins with a zero: then it is no international prefix.
  if (abroad !== "" && !abroad.startsWith("0")) return fromInternational(abroad);
  const answer = answerBy(plan, digits, plans);
  if (answer !== null || !digits.startsWith(callingCode)) return answer;
  const withPlus = fromInternational(digits);
  if (withPlus === null) return null;
  // The library takes it for a forgotten plus if nothing fits the region's plan as it stands, but does without calling code.
  const stands = fitting(withoutPrefix(digits, plan) ?? digits, digits, plan) !== undefined;
  return plan === plans[0] && !stands ? withPlus : undefined;
}

/** @param plan by which it is read; it may turn out to be the number of another one with the same calling code. */
function answerBy(plan: Plan, digits: string, plans: readonly Plan[]): Answer {
  const rest = withoutPrefix(digits, plan);
  if (rest === undefined) return undefined;
  const national = fitting(rest, digits, plan);
  const owner = national === undefined ? undefined : ownerOf(national, plans);
  if (!national || !owner) return isNowhereValid(rest, digits, plans) ? null : undefined;
  // For other lengths the library may have left the prefix, or taken the first digits for a country code without plus.
  if (!owner.lengths.includes(national.length) || !plan.lengths.includes(national.length)) return undefined;
  const e164 = `+${plan.callingCode}${national}`;
  return e164.length >= MIN_E164_LENGTH && e164.length <= MAX_E164_LENGTH ? e164 : undefined;
}

/** The digits behind the national prefix, or all if there is none; undefined if the prefix isn't just left out. */
function withoutPrefix(digits: string, { nationalPrefix }: Plan): string | undefined {
  const prefix = nationalPrefix?.exec(digits);
  return prefix?.slice(1).some(Boolean) ? undefined : digits.slice(prefix?.[0].length);
}

/** The first of the two that fits the plan. */
function fitting(rest: string, digits: string, { general }: Plan): string | undefined {
  if (general.test(rest)) return rest;
  return general.test(digits) ? digits : undefined;
}

/** The country that has this number, valid. */
function ownerOf(national: string, plans: readonly Plan[]): Plan | undefined {
  const owner = plans.find(({ leadingDigits, valid }) => (leadingDigits ?? valid).test(national));
  return owner?.leadingDigits === undefined || owner.valid.test(national) ? owner : undefined;
}

/** Of national digits. What has more or fewer is no number at all to the library, and may then be read in yet another way. */
const [MIN_LENGTH, MAX_LENGTH] = [2, 17];
/** Where `normalizePhone` knows a form that the library doesn't. */
const MEXICO = "52";

/** Whether no country has the number, whichever of the two it is. */
function isNowhereValid(rest: string, digits: string, plans: readonly Plan[]): boolean {
  if (plans[0]?.callingCode === MEXICO) return false;
  if (rest.length < MIN_LENGTH || digits.length > MAX_LENGTH) return false;
  return !plans.some(({ valid }) => valid.test(rest) || valid.test(digits));
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

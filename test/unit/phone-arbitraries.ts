import fc from "fast-check";
import metadata from "libphonenumber-js/max/metadata";
import { createRandom, type Random } from "../chaos/random.ts";
import type { Written } from "../support/phone-mix.ts";

interface Plan {
  country: string | undefined;
  callingCode: string;
  nationals: readonly string[];
  /** National and international ones, and what a national prefix rewrites. */
  prefixes: readonly string[];
  /** Countries with the same calling code. */
  neighbours: readonly string[];
}

const COUNTRIES = Object.keys(metadata.countries);
const SHARING = metadata.country_calling_codes;
export const CALLING_CODES = [...Object.keys(SHARING), ...Object.keys(metadata.nonGeographic)];

const PLANS: readonly Plan[] = [
  ...Object.entries(metadata.countries).map(([country, plan]) => planOf(plan, country)),
  ...Object.values(metadata.nonGeographic).map((plan) => planOf(plan, undefined)),
];

function planOf(plan: (typeof metadata.nonGeographic)[string], country: string | undefined): Plan {
  const [callingCode, idd, general, , , prefix, , prefixForParsing, , , leadingDigits, types] = plan;
  const kinds: (string[] | 0)[] = types || [];
  return {
    country,
    callingCode,
    nationals: [general, leadingDigits, ...kinds.map((kind) => (kind === 0 ? 0 : kind[0]))].flatMap(matching),
    prefixes: [prefix, prefixForParsing, idd, "00"].flatMap(matching),
    neighbours: SHARING[callingCode] ?? ["US"],
  };
}

/** Digits that fit a pattern, if there is one. */
function matching(pattern: string | 0 | undefined): string[] {
  if (!pattern) return [];
  const whole = fc.stringMatching(new RegExp(`^(?:${pattern.replaceAll("$", "")})$`));
  return fc.sample(whole, { numRuns: 40, seed: 1 });
}

const ORDINARY = [" ", "-", ".", "/", "(", ")", ") ", " - ", "  ", "(0)"] as const;
const ODD = [
  ...[
    "\t",
    "\n",
    "\u00a0",
    "\u2011",
    "\u200b",
    "\u3000",
    "~",
    "*",
    "#",
    "x",
    "X",
    " ext ",
    ";",
    ",",
    ",,",
    ":",
  ],
  ...[
    "+",
    "++",
    "＋",
    "tel:",
    ";ext=",
    ";isub=",
    ";phone-context=+1",
    "A",
    "ABC",
    "é",
    "٣",
    "७",
    "１",
    "[",
    "]",
  ],
];

function write(random: Random): Written {
  const { int, chance } = random;
  const pick = <T>(choices: readonly T[]): T => choices[int(0, choices.length - 1)] as T;
  const digits = (least: number, most: number): string =>
    Array.from({ length: int(least, most) }, () => int(0, 9)).join("");

  /** One digit too few or too many, another one in its place, two exchanged, or other last ones. */
  const damaged = (number: string): string => {
    const at = int(0, number.length);
    const [before, after] = [number.slice(0, at), number.slice(at)];
    return pick([
      before + after.slice(1),
      before + digits(1, 1) + after,
      before + digits(1, 1) + after.slice(1),
      before + after.charAt(1) + after.charAt(0) + after.slice(2),
      number + digits(1, 1),
      before + digits(after.length, after.length),
    ]);
  };

  const nationalOf = ({ nationals }: Plan): string => {
    const number = pick(nationals);
    if (chance(0.7)) return number;
    if (chance(0.8)) return damaged(number);
    return chance(0.5) ? pick(pick(PLANS).nationals) : digits(2, 17);
  };

  /** With and without country code, national and international prefixes: those that belong there, and others. */
  const digitsOf = (plan: Plan): string => {
    const { callingCode } = plan;
    const national = nationalOf(plan);
    const prefix = pick(chance(0.8) ? plan.prefixes : pick(PLANS).prefixes);
    const form = int(0, 20);
    if (form < 7) return `+${callingCode}${national}`;
    if (form < 12) return national;
    if (form < 15) return prefix + national;
    if (form === 15) return `+${callingCode}${prefix}${national}`;
    if (form === 16) return prefix + callingCode + national;
    if (form === 17) return callingCode + national;
    if (form === 20) return `+${prefix}${callingCode}${national}`;
    return form === 18 ? `+${pick(CALLING_CODES)}${digits(1, 20)}` : `${pick(["", "+"])}${digits(1, 20)}`;
  };

  /** Most have ordinary separators, or none; they may stand before and behind all digits too. */
  const separated = (number: string): string => {
    if (chance(0.4)) return number;
    const marks = chance(0.85) ? ORDINARY : [...ORDINARY, ...ODD];
    let text = number;
    for (let count = int(1, 4); count > 0; count -= 1) {
      const at = int(0, text.length);
      text = text.slice(0, at) + pick(marks) + text.slice(at);
    }
    return text;
  };

  const regionFor = ({ country, neighbours }: Plan): string | undefined => {
    if (chance(0.7)) return country;
    return pick([pick(neighbours), pick(COUNTRIES), "US", undefined, "ZZ", "us", "constructor", "001"]);
  };

  const plan = pick(PLANS);
  return { text: separated(digitsOf(plan)), region: regionFor(plan) };
}

/**
 * Phones of all countries and calling codes, written in all ways, right, nearly right and wrong. Drawn by a generator
 * of our own from a seed of fast-check's: its own arbitraries take longer for this than what is tested.
 */
export const writtenPhone: fc.Arbitrary<Written> = fc
  .noBias(fc.noShrink(fc.integer()))
  .map((seed) => write(createRandom(seed)));

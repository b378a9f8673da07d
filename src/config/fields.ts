/**
 * The kinds of value a key can hold. Each has one sentence saying what it expects, and gives it for every way of
 * being wrong, so that a message reads the same whatever the mistake.
 */
import { isIP } from "node:net";
import { type CountryCode, isSupportedCountry } from "libphonenumber-js/max";
import { z } from "zod";
import { withoutTrailingSlashes } from "../trailing-slashes.ts";
import {
  durationPattern,
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
  sizePattern,
} from "./units.ts";

/** Text of a given form. A number or boolean is refused rather than converted: `0123` unquoted has already lost its zero. */
export function text(form: RegExp, expected: string) {
  const error = (issue: { input?: unknown }): string =>
    typeof issue.input === "number" || typeof issue.input === "boolean"
      ? `${expected}; put it in quotes`
      : expected;
  return z.string({ error }).regex(form, { error });
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what these forms exclude
const oneLine = /^[^\s\u0000-\u001f\u007f](?:[^\u0000-\u001f\u007f]*[^\s\u0000-\u001f\u007f])?$/;

/** A name free in form: one line, no blanks around it. */
export const name = (what: string) =>
  text(oneLine, `expected ${what}: one line of text, not empty, without blanks around it`);

/** A password or key. Anything goes but a line break, which a block scalar or a careless file leaves behind. */
export const secret = () => text(/^[^\r\n]+$/, "expected a secret on one line, not empty");

export const oneOf = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values, { error: `expected one of: ${values.join(", ")}` });

export function whole(min: number, max: number, why = "") {
  const error = numeric(`expected a whole number from ${min} to ${max}${why && ` (${why})`}`);
  return z.int({ error }).min(min, { error }).max(max, { error });
}

export function rate(min: number, max: number) {
  const error = numeric(`expected a number from ${min} to ${max}`);
  return z.number({ error }).min(min, { error }).max(max, { error });
}

const numeric =
  (expected: string) =>
  ({ input }: { input?: unknown }): string =>
    typeof input === "string" && /^-?\d+(\.\d+)?$/.test(input) ? `${expected}, without quotes` : expected;

export const port = () => whole(0, 65_535, "0 takes any free port");

interface Quantity {
  form: RegExp;
  parse: (text: string) => number | undefined;
  min: number;
  max: number;
  /** What is expected, complete but for the reproach of a missing unit. */
  expected: string;
}

function quantity({ form, parse, min, max, expected }: Quantity) {
  const error = ({ input }: { input?: unknown }): string =>
    typeof input === "number" || (typeof input === "string" && /^\d+$/.test(input))
      ? `the unit is missing: ${expected}`
      : expected;
  return z
    .string({ error })
    .regex(form, { error })
    .transform((value, context): number => {
      const parsed = parse(value);
      if (parsed !== undefined && parsed >= min && parsed <= max) return parsed;
      context.addIssue({ code: "custom", message: expected });
      return z.NEVER;
    });
}

/** Parses to milliseconds; both bounds, in milliseconds, are allowed values. */
export const duration = (min: number, max: number) =>
  quantity({
    form: durationPattern,
    parse: parseDuration,
    min,
    max,
    expected: `expected a duration from ${formatDuration(min)} to ${formatDuration(max)}, a whole number with ms, s, m or h, such as "10s"`,
  });

/** Parses to bytes; both bounds, in bytes, are allowed values. */
export const size = (min: number, max: number) =>
  quantity({
    form: sizePattern,
    parse: parseSize,
    min,
    max,
    expected: `expected a size from ${formatSize(min)} to ${formatSize(max)}, a whole number with B, KiB or MiB, such as "512KiB"`,
  });

interface UrlRules {
  example: string;
  /** A base gets paths appended, so it can't hold a query and loses its trailing slashes. */
  base: boolean;
}

export function httpUrl({ example, base }: UrlRules) {
  const expected = `expected an http:// or https:// URL such as "${example}"`;
  return z
    .string({ error: expected })
    .regex(/^https?:\/\/\S+$/, { error: expected })
    .transform((value, context): string => {
      const fault = URL.canParse(value) ? faultOf(new URL(value), base) : "";
      if (fault === undefined)
        return base ? withoutTrailingSlashes(new URL(value).href) : new URL(value).href;
      context.addIssue({ code: "custom", message: expected + fault });
      return z.NEVER;
    });
}

function faultOf(url: URL, base: boolean): string | undefined {
  if (url.username || url.password) return ", without a user name or password in it";
  if (url.hash) return ", without a #fragment";
  if (base && url.search) return ", without a ?query";
  return undefined;
}

/** The Kafka client splits at the first colon, so an IPv6 literal can't be a bootstrap address. */
export const broker = () =>
  text(
    /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?:(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])$/,
    'expected host:port, such as "localhost:9092" (a name or an IPv4 address)',
  );

export const topic = () =>
  text(
    /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/,
    'expected a topic name: 1 to 249 of A-Z a-z 0-9 . _ - (not "." or "..")',
  );

export const listenHost = () => {
  const error =
    'expected a host name or IP address to listen on, such as "127.0.0.1" or "0.0.0.0", without a port';
  return text(/^[A-Za-z0-9:._-]+$/, error).refine((host) => !host.includes(":") || isIP(host) === 6, {
    error,
  });
};

export const region = () => {
  const expected = 'expected an ISO 3166 region in two capitals that has phone numbers, such as "US"';
  return text(/^[A-Z]{2}$/, expected).transform((value, context): CountryCode => {
    if (isSupportedCountry(value)) return value;
    context.addIssue({ code: "custom", message: expected });
    return z.NEVER;
  });
};

/**
 * Contradictions between keys are looked for even if some key is wrong by itself, so that one start tells everything.
 * The values may therefore still be of any type, whatever zod's types say.
 */
export const evenIfFaulty = {
  when: ({ value }: { value: unknown }) => typeof value === "object" && value !== null,
};

/** For `superRefine` of a mapping: refuses one of two optional keys without the other. */
export const bothOrNeither =
  <First extends string, Second extends string>(first: First, second: Second) =>
  (value: { [Key in First | Second]?: unknown }, context: z.RefinementCtx): void => {
    if ((value[first] === undefined) === (value[second] === undefined)) return;
    const absent = value[first] === undefined ? first : second;
    const message = `expected ${first} with ${second}: give both or neither`;
    context.addIssue({ code: "custom", path: [absent], message });
  };

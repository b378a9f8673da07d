/**
 * The textual half of Google's libphonenumber: from what a person wrote to the digits they meant.
 * libphonenumber-js's own reading of text is a port of an older one, looser in one mode (it accepts
 * "212 555 0123 call me") and stricter in the other (it refuses "tel:", "++1", "x302/x2303", vanity letters), so
 * only clean digits are handed to it. The patterns are those of PhoneNumberUtil.java, under its names where they
 * have one; the inputs are bounded, and each pattern is at worst quadratic in that bound.
 */

/** Google's own bound; longer texts are not phone numbers, and would only cost time. */
export const MAX_PHONE_LENGTH = 250;

const PLUS = "+\\uFF0B";
/** VALID_PUNCTUATION and the star sign: what may stand between digits, among it soft hyphens and zero-width spaces. */
const PUNCTUATION =
  "\\-x\\u2010-\\u2015\\u2212\\u30FC\\uFF0D-\\uFF0F \\u00A0\\u00AD\\u200B\\u2060\\u3000()\\uFF08\\uFF09\\uFF3B\\uFF3D.\\[\\]\\/~\\u2053\\u223C\\uFF5E*";

const SPACE = "[ \\u00A0\\t]*";
const AFTER_LABEL = "[:.\\uFF0E]?[ \\u00A0\\t,\\-]*";
const EXPLICIT_LABEL =
  "(?:e?xt(?:ensi(?:o\\u0301?|\\u00F3))?n?|\\uFF45?\\uFF58\\uFF54\\uFF4E?|\\u0434\\u043E\\u0431|anexo)";
const AMBIGUOUS_LABEL = "(?:[x\\uFF58#\\uFF03~\\uFF5E]|int|\\uFF49\\uFF4E\\uFF54)";

/** EXTN_PATTERNS_FOR_PARSING: the vaguer the label, the fewer digits are taken for an extension. */
const EXTENSION = [
  ";ext=\\p{Nd}{1,20}",
  `[ \\u00A0\\t,]*${EXPLICIT_LABEL}${AFTER_LABEL}\\p{Nd}{1,20}#?`,
  `[ \\u00A0\\t,]*${AMBIGUOUS_LABEL}${AFTER_LABEL}\\p{Nd}{1,9}#?`,
  "[\\- ]+\\p{Nd}{1,6}#",
  `${SPACE}(?:,,|;)${AFTER_LABEL}\\p{Nd}{1,15}#?`,
  // Google writes `,+` here: the same texts, but a cubic search in a long run of commas.
  `${SPACE},(?:,*[:.\\uFF0E])?[ \\u00A0\\t,\\-]*\\p{Nd}{1,9}#?`,
].join("|");

const FIRST_DIGIT_OR_PLUS = new RegExp(`[${PLUS}\\p{Nd}]`, "u");
const UNWANTED_END = /[^\p{N}\p{L}#]+$/u;
const SECOND_NUMBER = /[\\/] *x/;
const EXTENSION_AT_END = new RegExp(`(?:${EXTENSION})$`, "iu");
const VIABLE = new RegExp(
  `^(?:\\p{Nd}{2}|[${PLUS}]*(?:[${PUNCTUATION}]*\\p{Nd}){3}[${PUNCTUATION}A-Za-z\\p{Nd}]*)(?:${EXTENSION})?$`,
  "iu",
);
const LEADING_PLUS = new RegExp(`^[${PLUS}]+`);
const VANITY = /(?:[^A-Za-z]*[A-Za-z]){3}/;

const PHONE_CONTEXT = ";phone-context=";
const CONTEXT_NUMBER = /^\+[\p{Nd}.()-]*\p{Nd}[\p{Nd}.()-]*$/u;
const CONTEXT_DOMAIN =
  /^(?:[a-z\p{Nd}](?:[a-z\p{Nd}-]*[a-z\p{Nd}])?\.)*[a-z](?:[a-z\p{Nd}-]*[a-z\p{Nd}])?\.?$/iu;

/** The digits a text stands for, with a leading `+` if it was written internationally; undefined if it isn't a phone. */
export function readDigits(text: string): string | undefined {
  if (text.length > MAX_PHONE_LENGTH) return undefined;
  const written = text.includes(PHONE_CONTEXT) ? fromPhoneContext(text) : extractPossibleNumber(text);
  if (written === undefined) return undefined;
  const number = beforeFirst(written, ";isub=");
  if (!VIABLE.test(number)) return undefined;
  const main = withoutExtension(number);
  const national = main.replace(LEADING_PLUS, "");
  return (national === main ? "" : "+") + (VANITY.test(national) ? dial(national) : digitsOf(national));
}

/** RFC 3966: a local number in a `tel:` URI says in its context which country (or whose exchange) it is local to. */
function fromPhoneContext(text: string): string | undefined {
  const at = text.indexOf(PHONE_CONTEXT);
  const context = beforeFirst(text.slice(at + PHONE_CONTEXT.length), ";");
  const global = CONTEXT_NUMBER.test(context);
  if (!global && !CONTEXT_DOMAIN.test(context)) return undefined;
  const scheme = text.indexOf("tel:");
  const local = text.slice(scheme < 0 ? 0 : scheme + "tel:".length, at);
  return global ? context + local : local;
}

/** Drops what surrounds a number ("tel:", direction marks, a full stop) and a second number ("x302/x2303"). */
function extractPossibleNumber(text: string): string {
  const start = text.search(FIRST_DIGIT_OR_PLUS);
  if (start < 0) return "";
  const number = text.slice(start).replace(UNWANTED_END, "");
  const second = number.search(SECOND_NUMBER);
  return second < 0 ? number : number.slice(0, second);
}

function withoutExtension(number: string): string {
  const at = number.search(EXTENSION_AT_END);
  return at >= 0 && VIABLE.test(number.slice(0, at)) ? number.slice(0, at) : number;
}

function beforeFirst(text: string, mark: string): string {
  const at = text.indexOf(mark);
  return at < 0 ? text : text.slice(0, at);
}

const KEYPAD = "22233344455566677778889999";

/** What a caller dials on a keypad: letters are their keys, everything else but ASCII digits is left out. */
function dial(text: string): string {
  return text
    .replace(/[A-Za-z]/g, (letter) => KEYPAD.charAt(letter.toUpperCase().charCodeAt(0) - 65))
    .replace(/[^0-9]/g, "");
}

/** The decimal digits of any script, as ASCII. */
function digitsOf(text: string): string {
  return text.replace(/\P{Nd}/gu, "").replace(/[^0-9]/gu, asciiDigit);
}

/** Unicode lays every script's digits out as runs of ten, zero first: count back to the start of the run. */
function asciiDigit(digit: string): string {
  const code = digit.codePointAt(0) ?? 0;
  let value = 0;
  while (/^\p{Nd}$/u.test(String.fromCodePoint(code - value - 1))) value += 1;
  return String(value % 10);
}

import { parsePhoneNumberFromString } from "libphonenumber-js/max";
import { z } from "zod";
import { evenIfFaulty, oneOf, text } from "../../config/fields.ts";

const callingCode = text(
  /^[1-9]\d{0,2}$/,
  'expected a country calling code as a key, without +, such as "44"',
);
const numberForm = oneOf(["digits", "national"]);

/** The forms by calling code; 1 is national unless set. */
export type NumberForms = Readonly<Record<string, z.output<typeof numberForm>>>;

const allForms = (forms: NumberForms): NumberForms => ({ 1: "national", ...forms });

const nationalCodes = (forms: NumberForms): string[] =>
  Object.entries(allForms(forms)).flatMap(([code, form]) => (form === "national" ? [code] : []));

/** The configuration key: how a group of numbers that are held as integers holds those of each country. */
export const numberForms = z
  .record(callingCode, numberForm)
  .superRefine((forms, context) => {
    const [first, ...others] = nationalCodes(forms);
    const remedy = first === "1" ? `; set "1" to digits too if the group is another country's` : "";
    const message = `expected digits: only one calling code can be national, and ${first} is${remedy}`;
    for (const code of others) context.addIssue({ code: "custom", path: [code], message });
  }, evenIfFaulty)
  .prefault({})
  .describe(
    "How this group holds the numbers of a country, by its calling code. digits: with the calling code; national: without. Only one can be national: 1, unless that is set to digits. Rejected are numbers of a calling code that isn't here, and those whose digits could as well be a national number.",
  );

export type Translation =
  | { ok: true; phoneNumber: number }
  /** `detail` is for people, without the number. */
  | { ok: false; detail: string };

/** Whether a list with national numbers of this calling code can't tell these digits from one of them, as far as lengths go. */
const isReadableAs = (code: string, digits: string): boolean =>
  parsePhoneNumberFromString(`+${code}${digits}`, { extract: false })?.isPossible() ?? false;

/** E.164 → the integer that stands for it, and for no other. A number has 15 digits at most, so an integer holds it exactly. */
export function createTranslator(given: NumberForms): (phone: string) => Translation {
  const forms = allForms(given);
  const [national] = nationalCodes(given);
  const refused = (detail: string): Translation => ({ ok: false, detail });

  return (phone) => {
    const parsed = phone.startsWith("+1")
      ? // No other calling code begins with 1, and it has no number that begins with 0.
        { countryCallingCode: "1", nationalNumber: phone.slice(2) }
      : parsePhoneNumberFromString(phone, { extract: false });
    if (parsed === undefined) return refused("the number's country calling code is unknown");
    const { countryCallingCode: code, nationalNumber } = parsed;
    const form = forms[code];
    if (form === undefined) {
      return refused(`numbers of +${code} have no form here: set numberForms of this environment`);
    }
    const digits = form === "digits" ? phone.slice(1) : nationalNumber;
    if (digits.startsWith("0")) {
      return refused(
        `this number of +${code} begins with 0 in its national form, which an integer can't hold: set numberForms to digits`,
      );
    }
    if (national !== undefined && national !== code && isReadableAs(national, digits)) {
      return refused(`in this form, numbers of +${code} can't be told from numbers of +${national} here`);
    }
    return { ok: true, phoneNumber: Number(digits) };
  };
}

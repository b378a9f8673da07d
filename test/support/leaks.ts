import assert from "node:assert/strict";
import type { Config } from "../../src/config/schema.ts";
import { phones } from "./scenario.ts";

/** E.164 `+1AAANNNXXXX` as people write it. */
export const FORMS: ((area: string, office: string, line: string) => string)[] = [
  (area, office, line) => `+1${area}${office}${line}`,
  (area, office, line) => `(${area}) ${office}-${line}`,
  (area, office, line) => `${area}.${office}.${line}`,
  (area, office, line) => `1 ${area} ${office} ${line}`,
  (area, office, line) => `tel:+1-${area}-${office}-${line}`,
  (area, office, line) => `${area}${office}${line}`,
];

export const partsOf = (phone: string): [string, string, string] => [
  phone.slice(2, 5),
  phone.slice(5, 8),
  phone.slice(8),
];

export const secretsOf = ({ environments }: Config): string[] =>
  environments.map(({ auth }) => auth.clientSecret ?? "").filter((secret) => secret !== "");

/** Bare digits only where they are a number of their own: the decimals of a duration may happen to be the same. */
const indexOfForm = (text: string, form: string): number =>
  /^\d+$/.test(form) ? text.search(new RegExp(`(?<![\\da-f.])${form}(?![\\da-f])`)) : text.indexOf(form);

/** That none of the test's first 300 phones is in a text, however written, nor any of these secrets. */
export function assertNoPhoneNorSecret(text: string, secrets: readonly string[]): void {
  for (const phone of phones(0, 300)) {
    for (const form of FORMS) {
      const at = indexOfForm(text, form(...partsOf(phone)).replace("tel:", ""));
      assert.equal(at, -1, `a phone leaks: ${text.slice(Math.max(0, at - 200), at + 50)}`);
    }
  }
  for (const secret of new Set(secrets)) {
    const at = text.indexOf(secret);
    assert.equal(at, -1, `a secret leaks: ${text.slice(Math.max(0, at - 200), at + 50)}`);
  }
  assert.doesNotMatch(text, /Bearer (?!realm=)\S{8}/);
}

/** Nor, where only the relay and an environment may know it, an idempotency key. */
export function assertNoKey(text: string): void {
  const key = /.{0,100}:\d+:\d+-\d+:[0-9a-f]{16}/.exec(text);
  assert.equal(key, null, `an idempotency key leaks: ${key?.[0]}`);
}

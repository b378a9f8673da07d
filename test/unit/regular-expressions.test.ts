import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { assertLinear } from "../support/growth.ts";
import { attacksOn, type Found, findExpressions, literalsIn } from "../support/regular-expressions.ts";

const SOURCES = fileURLToPath(new URL("../../../src/", import.meta.url));
const { literals, built } = findExpressions(SOURCES);

/** Those that take quadratic time for some text, each with the length of the longest that it is ever given. */
const BOUNDED: Record<string, { length: number; why: string }> = {
  "events/fields.ts /^_+|_+$/g": { length: 64, why: "a source is cut to 64 characters before" },
  "phone/text.ts /[^\\p{N}\\p{L}#]+$/u": { length: 250, why: "longer texts are no phones" },
  "phone/text.ts /(?:[^A-Za-z]*[A-Za-z]){3}/": { length: 250, why: "longer texts are no phones" },
  "phone/text.ts /^\\+[\\p{Nd}.()-]*\\p{Nd}[\\p{Nd}.()-]*$/u": {
    length: 250,
    why: "longer texts are no phones",
  },
  "kafka/errors.ts /ALERT_(\\w*CERT|UNKNOWN_CA)/": { length: 250, why: "OpenSSL's own names of its errors" },
  "kafka/errors.ts /alert ([a-z ]+):/": { length: 1_000, why: "OpenSSL's own texts of its errors" },
};

/** Built from parts: tested through the functions that they serve, in the fuzz tests of these. */
const BUILT = [
  "events/cloud-event.ts",
  "events/cloud-event.ts",
  "kafka/logging.ts",
  "phone/fast.ts",
  "phone/fast.ts",
  "phone/text.ts",
  "phone/text.ts",
  "phone/text.ts",
  "phone/text.ts",
];

const nameOf = ({ file, source, flags }: Found): string => `${file} /${source}/${flags}`;

/** Small steps at first, for what takes exponential time. */
const LENGTHS = [16, 24, 4_000];
/** Of a megabyte, the most that anything outside gets in. */
const LONGEST = 1_000_000;
/** Milliseconds. What takes longer is looked at closely; what is linear takes a fiftieth. */
const SUSPICIOUS_MS = 1;

function isSlow(run: (text: string) => void, text: string): boolean {
  const start = process.cpuUsage();
  run(text);
  return process.cpuUsage(start).user > SUSPICIOUS_MS * 1_000;
}

/** The length at which it takes long, and again: the machine may have been busy. */
const slowLength = (run: (text: string) => void, attack: (length: number) => string): number | undefined =>
  LENGTHS.find((length) => {
    const text = attack(length);
    return isSlow(run, text) && isSlow(run, text) && isSlow(run, text);
  });

/** The literal as it is used: to replace, or to search. */
const runnerOf = ({ source, flags }: Found): ((text: string) => void) => {
  const expression = new RegExp(source, flags);
  return flags.includes("g") ? (text) => text.replace(expression, "") : (text) => expression.test(text);
};

function assertHarmless(expression: Found): void {
  const run = runnerOf(expression);
  for (const attack of attacksOn(expression.source)) {
    const length = slowLength(run, attack);
    if (length === undefined) continue;
    const what = `${nameOf(expression)} on ${JSON.stringify(attack(8))}…`;
    // At this length only what is exponential takes long.
    assert.ok(length > 100, `${what}: takes long for ${length} characters: far more than linear`);
    const work = (length: number) => {
      const text = attack(length);
      return () => run(text);
    };
    assertLinear(what, work, { from: length / 8, to: LONGEST });
  }
}

describe("regular expressions", () => {
  test("take linear time on texts that make them go back, but for those that see short texts only", (context) => {
    const judged = literals.filter((each) => BOUNDED[nameOf(each)] === undefined);
    for (const expression of judged) assertHarmless(expression);
    context.diagnostic(`${judged.length} of ${literals.length} attacked`);
  });

  test("that take longer are in use still, and none else is exempt", () => {
    const names = new Set(literals.map(nameOf));
    assert.deepEqual(
      Object.keys(BOUNDED).filter((name) => !names.has(name)),
      [],
    );
  });

  test("that are built from parts are those that are tested through their functions", () => {
    assert.deepEqual(built, BUILT);
  });

  test("are found wherever they stand, and nothing else is taken for one", () => {
    const code = `
      const a = /x\\/[/]y/giu, b = c / d / e; // not /this/
      /* nor /this/ */ const f = "nor /this/" + 'or /\\'that/' + \`nor /this/ \${g.replace(/h/g, \`/i/\${/j/}\`)} /k/\`;
      return /l/.test(m[0] / 2) && (n) / o;`;
    const found = literalsIn(code).map(({ source, flags }) => `${source} ${flags}`);
    assert.deepEqual(found, ["x\\/[/]y giu", "h g", "j ", "l "]);
    assert.ok(literals.length > 100, "those of the product are found");
  });

  test("that are known to go back far are found out", () => {
    for (const source of ["^[A-Za-z0-9+/\\s]+=*\\s*$", "(a+)+$", "^(?:a|a)*$"]) {
      const expression = { file: "", source, flags: "su" };
      assert.throws(() => assertHarmless(expression), /more than linear|far more/, source);
    }
  });
});

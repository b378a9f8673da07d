import assert from "node:assert/strict";
import { test } from "node:test";
import { readDocument } from "../../src/config/document.ts";
import { parseConfig } from "../../src/config/load.ts";

const faultsOf = (yaml: string): string[] =>
  readDocument(yaml).faults.map(({ line, says }) => (line === undefined ? says : `${line}: ${says}`));

test("a syntax error says its line and what to do, in words of its own", () => {
  const cases: [string, RegExp][] = [
    ["kafka:\n  ssl: true\n  ssl: false\n", /^3: this key was given before in the same mapping/],
    ["kafka:\n\tbrokers: []\n", /^2: a tab in the indentation/],
    ["a: 1\nb: [1, 2\n", /^\d: the indentation doesn't fit, or a bracket is not closed/],
    ["a: b: c\n", /^1: a second key on one line, or a colon in a value that is not quoted/],
    ["a: 'x\n", /^\d: something is missing here: a closing quote/],
    ["a: 1\n---\nb: 2\n", /^2: a second document begins here/],
    ['a: "\\q"\n', /^1: a backslash in a "double-quoted" text/],
    ['{"a": 1, "b": 2, "a": 3}', /^1: this key was given before/],
    ["a: 1\n<<: x\n", /^a merge key \(<<\) takes a mapping/],
  ];
  for (const [yaml, expected] of cases) assert.match(faultsOf(yaml)[0] ?? "", expected, yaml);
});

test("a password that YAML takes for syntax is refused with the advice to quote it, and not shown", () => {
  const values = [
    "*hunter2",
    "!hunter2",
    "@hunter2",
    "`hunter2",
    "%hunter2",
    "|hunter2",
    "&hunter2 *hunter3",
    '"hunter2" x',
  ];
  for (const value of values) {
    const faults = faultsOf(`a: 1\npassword: ${value}\n`);
    assert.match(faults[0] ?? "", /^2: /, value);
    assert.doesNotMatch(faults.join(), /hunter/, value);
  }
  assert.match(faultsOf("password: *x")[0] ?? "", /alias.*quote it/);
  assert.match(faultsOf("password: !x y")[0] ?? "", /tag.*quote it/);
});

test("after a duplicate key the rest is validated, after broken syntax it isn't", () => {
  assert.equal(readDocument("a: 1\na: 2\n").usable, true);
  const broken = readDocument("a: [1\n");
  assert.deepEqual([broken.usable, broken.tree], [false, undefined]);
});

test("bombs of aliases, depth and size are refused at once", () => {
  const levels = Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`);
  const cases: [string, RegExp][] = [
    [`a0: &a0 [x]\n${levels.join("\n")}`, /aliases|parts/],
    [`a: &a x\nb: [${"*a,".repeat(5_000)}]`, /more than 200 aliases/],
    ["a: &a [*a, *a]", /nested deeper than 32 levels/],
    [`a: &a [${"[],".repeat(5_000)}]\nb: [${"*a,".repeat(100)}]`, /more than 100000 parts/],
    ["[".repeat(200_000), /nested deeper than 32 levels/],
    ["- ".repeat(200_000), /nested deeper than 32 levels/],
    ["? ".repeat(200_000), /nested deeper than 32 levels/],
    ["{a: ".repeat(200_000), /nested deeper than 32 levels/],
    ["a: ".repeat(200_000), /nested deeper than 32 levels/],
    [
      Array.from({ length: 1_400 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
      /nested deeper than 32 levels/,
    ],
    [Array.from({ length: 1_400 }, (_, i) => `${" ".repeat(i)}-`).join("\n"), /nested deeper than 32 levels/],
    [`${"[".repeat(100)}${"]".repeat(100)}`, /nested deeper than 32 levels/],
    [manyKeys((key) => `${key}: 1\n`), /more than 10000 keys/],
    [manyKeys((key) => `? ${key}\n`), /more than 10000 keys/],
    [`{${manyKeys((key) => `"${key}":1,`)}}`, /more than 10000 keys/],
    [`{${manyKeys((key) => `${key},`)}}`, /more than 10000 keys/],
  ];
  for (const [yaml, expected] of cases) {
    const started = process.cpuUsage();
    const { tree, faults } = readDocument(yaml);
    const message =
      faults.length > 0 ? faults.map(({ says }) => says).join() : messageOf(() => parseConfig(tree));
    assert.match(message, expected);
    assert.ok(process.cpuUsage(started).user < 5_000_000, "took seconds");
  }
});

const manyKeys = (write: (key: string) => string): string =>
  Array.from({ length: 90_000 }, (_, i) => write(`k${i}`)).join("");

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return String(error);
  }
  return "";
}

test("__proto__ is refused wherever it stands, and changes nothing", () => {
  const { tree, lineOf } = readDocument(
    "kafka:\n  __proto__: {brokers: ['a:1']}\nenvironments:\n  - {__proto__: x}\n",
  );
  assert.equal(lineOf(["kafka", "__proto__"]), 2);
  const message = messageOf(() => parseConfig(tree));
  assert.match(message, /kafka\.__proto__: this key is not allowed anywhere/);
  assert.match(message, /environments\[0\]\.__proto__: this key is not allowed anywhere/);
  assert.match(message, /kafka\.brokers is missing/);
  assert.equal(Reflect.get({}, "brokers"), undefined);
});

test("lines are those of keys and items, through aliases and up to the nearest ancestor", () => {
  const { lineOf } = readDocument("a:\n  b: &x\n    - 1\n    - c: 2\nd: *x\n'e f': {g: 1,\n  h: 2}\n");
  assert.equal(lineOf(["a"]), 1);
  assert.equal(lineOf(["a", "b"]), 2);
  assert.equal(lineOf(["a", "b", 0]), 3);
  assert.equal(lineOf(["a", "b", 1, "c"]), 4);
  assert.equal(lineOf(["a", "b", 1, "absent"]), 4);
  assert.equal(lineOf(["d", 1, "c"]), 4);
  assert.equal(lineOf(["e f", "h"]), 7);
  assert.equal(lineOf(["absent"]), undefined);
});

test("a YAML 1.1 directive doesn't smuggle in values of other kinds", () => {
  const { tree } = readDocument("%YAML 1.1\n---\nkafka: {brokers: !!set {a}, clientId: 2001-12-14}\n");
  const message = messageOf(() => parseConfig(tree));
  assert.match(message, /kafka\.brokers = a mapping: expected a list of host:port/);
  assert.match(message, /kafka\.clientId = .*: expected a client id/);
});

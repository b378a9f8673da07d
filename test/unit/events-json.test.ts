import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AMBIGUOUS, parseJson } from "../../src/events/json.ts";

test("any JSON text without repeated names is read as JSON.parse does", () => {
  const value = fc.oneof(fc.jsonValue(), fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()));
  fc.assert(
    fc.property(value, fc.constantFrom(undefined, "\t", " \n"), (given, indent) => {
      const text = JSON.stringify(given, null, indent);
      assert.deepEqual(parseJson(text), JSON.parse(text));
    }),
  );
});

/** Every character of it as an escape. */
const spell = (text: string): string =>
  `"${Array.from(text.split(""), (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")}"`;

test("exactly the names that come with different values are ambiguous, however they are written and nested", () => {
  const name = fc.constantFrom("phone", "action", 'q"uote', "back\\slash", "{", "é");
  const member = fc.tuple(name, fc.oneof(fc.constant("+1"), fc.jsonValue({ maxDepth: 2 })), fc.boolean());
  const text = (members: [string, unknown, boolean][]): string => {
    const written = members.map(([name, value, escaped]) => {
      const spelt = escaped ? spell(name) : JSON.stringify(name);
      return `${spelt} :${escaped && typeof value === "string" ? spell(value) : JSON.stringify(value)}`;
    });
    return `{ ${written.join(" ,")} }`;
  };
  const expected = (members: [string, unknown, boolean][]): Record<string, unknown> => {
    const entries = members.map(([name, value]): [string, unknown] => {
      const written = members.filter(([other]) => other === name).map(([, of]) => JSON.stringify(of));
      return [name, new Set(written).size === 1 ? JSON.parse(JSON.stringify(value)) : AMBIGUOUS];
    });
    return Object.fromEntries(entries);
  };
  fc.assert(
    fc.property(fc.array(member, { maxLength: 8 }), (members) => {
      assert.deepEqual(parseJson(text(members)), expected(members));
      const within = parseJson(`{"data": ${text(members)}, "x": ${text(members)}}`);
      assert.deepEqual((within as { data: unknown }).data, expected(members));
    }),
  );
});

test("texts that aren't JSON throw, and what is no object is given as it is", () => {
  for (const text of ["", "{", '{"a":1', '{"a":1}}', "{'a':1}", '{"a" 1}']) {
    assert.throws(() => parseJson(text), SyntaxError);
  }
  for (const text of ["[]", '["a","a"]', '"{"', "1", "null"])
    assert.deepEqual(parseJson(text), JSON.parse(text));
});

test("a repeated payload is ambiguous as a whole", () => {
  assert.deepEqual(parseJson('{"data":{"phone":"1"},"data":{"phone":"2"}}'), { data: AMBIGUOUS });
  assert.deepEqual(parseJson('{"data":{"phone":"1"},"data":{"phone":"1"}}'), { data: { phone: "1" } });
  assert.deepEqual(parseJson('{"data":[{"phone":1,"phone":2}]}'), { data: [{ phone: 2 }] });
});

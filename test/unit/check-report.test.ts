import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { checkEncryption } from "../../src/check/encryption.ts";
import { about, failed, failedBy, ok, warning } from "../../src/check/finding.ts";
import { reportOf, reportTable, wrap } from "../../src/check/report.ts";
import { parseConfig } from "../../src/config/load.ts";
import { OptoutError } from "../../src/errors.ts";

describe("the report of check", () => {
  const findings = [
    ...about("topic", "events", [
      ok("exists", "yes"),
      warning("retention", "7 days", "Set retention.ms of it."),
    ]),
    ...about("environment", "production", [failed("token", "refused", "Check auth.")]),
  ];

  test("counts each result, and is ok unless something failed", () => {
    const counts = { ok: 1, warning: 1, failed: 1, not_checked: 0 };
    assert.deepEqual(reportOf(findings), { ok: false, counts, findings });
    assert.equal(reportOf(findings.slice(0, 2)).ok, true);
  });

  test("as a table names each thing once, and has the remedy below what it mends", () => {
    assert.equal(
      reportTable(reportOf(findings), 120),
      `what                    check      result   detail
topic events            exists     ok       yes
                        retention  warning  7 days
                                            > Set retention.ms of it.
environment production  token      failed   refused
                                            > Check auth.

1 ok, 1 warning, 1 failed, 0 not checked. Nothing was changed; mend what failed (>), then check again.
`,
    );
  });

  test("wraps text without losing a word, within the width unless a word is longer", () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,20}$/), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(words, fc.integer({ min: 1, max: 60 }), (text, width) => {
        const lines = wrap(text.join(" "), width);
        assert.deepEqual(lines.join(" ").split(" "), text);
        for (const line of lines) assert.ok(line.length <= width || !line.includes(" "));
      }),
    );
  });

  test("takes what happened and what to do apart, where an error says both", () => {
    const both = new OptoutError(
      "kafka_unreachable",
      "Can't reach a:9. Nothing listens. Check that it runs.",
    );
    assert.deepEqual(failedBy("connection", both), {
      ...{ check: "connection", result: "failed" },
      ...{ detail: "Can't reach a:9. Nothing listens.", remedy: "Check that it runs." },
    });
    assert.equal(failedBy("connection", new Error("odd")).detail, "odd");
    assert.notEqual(failedBy("connection", new Error("odd")).remedy, "");
  });
});

describe("what crosses a network in clear", () => {
  const warned = (kafka: object, more: object = {}, baseUrl = "https://api.example.com"): string[] =>
    checkEncryption(
      parseConfig({
        kafka: { brokers: ["127.0.0.1:9092"], ...kafka },
        environments: [{ name: "production", baseUrl, auth: { clientId: "a", clientSecret: "5ecret" } }],
        ...more,
      }),
    ).map(({ area, result }) => `${area} ${result}`);

  test("is nothing on this machine, nor over TLS", () => {
    assert.deepEqual(warned({}), []);
    assert.deepEqual(warned({ brokers: ["kafka:9093"], ssl: true }), []);
    for (const host of ["localhost", "127.1.2.3", "[::1]"])
      assert.deepEqual(warned({}, {}, `http://${host}:9`), []);
  });

  test("is warned of: brokers without TLS, plain http of an environment, of a registry with a password", () => {
    assert.deepEqual(warned({ brokers: ["kafka:9092"] }), ["broker warning"]);
    assert.deepEqual(warned({}, {}, "http://api.example.com"), ["environment warning"]);
    const registry = { url: "http://registry:8081", username: "u", password: "p" };
    assert.deepEqual(warned({}, { schemaRegistry: registry }), ["registry warning"]);
    assert.deepEqual(warned({}, { schemaRegistry: { url: registry.url } }), []);
  });

  test("and a certificate that isn't looked at is as bad", () => {
    assert.deepEqual(warned({ brokers: ["kafka:9093"], ssl: { rejectUnauthorized: false } }), [
      "broker warning",
    ]);
  });
});

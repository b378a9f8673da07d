import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, describe, test } from "node:test";
import { parseBound } from "../../src/commands/evidence.ts";
import { createFileOutput, createStreamOutput } from "../../src/evidence/output.ts";
import { finished, runCli } from "../support/process.ts";

const folder = mkdtempSync(join(tmpdir(), "optout-evidence-"));
after(() => rmSync(folder, { recursive: true }));
const CONFIG = join(folder, "config.yaml");
writeFileSync(
  CONFIG,
  `kafka: {brokers: ["127.0.0.1:1"]}
environments: [{name: production, baseUrl: "http://127.0.0.1:1", auth: {clientId: a, clientSecret: b}}]
`,
);

/** SHA-256 of "hello", as anybody's tools say. */
const HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

describe("bounds of a period", () => {
  const now = Date.parse("2026-03-10T12:00:00Z");
  const bound = (value: string, which: "from" | "to"): string =>
    new Date(parseBound(value, which, now)).toISOString();

  test("a date is its beginning in UTC, and as the end the whole day", () => {
    assert.equal(bound("2026-03-01", "from"), "2026-03-01T00:00:00.000Z");
    assert.equal(bound("2026-03-31", "to"), "2026-04-01T00:00:00.000Z");
    assert.equal(bound("2028-02-29", "to"), "2028-03-01T00:00:00.000Z");
  });

  test("a time is itself, and a duration so long ago", () => {
    assert.equal(bound("2026-03-01T10:00:00+01:00", "to"), "2026-03-01T09:00:00.000Z");
    assert.equal(bound("2d", "from"), "2026-03-08T12:00:00.000Z");
  });

  for (const value of ["2026-02-30", "2026-13-01", "yesterday", "2026-03-01T10:00:00", ""]) {
    test(`"${value}" is refused`, () => {
      assert.throws(() => parseBound(value, "from", now), { code: "commander.invalidArgument" });
    });
  }
});

describe("where a report goes", () => {
  test("a file has its name once it is whole, only its owner reads it, and its digest is told", async () => {
    const path = join(folder, "report.csv");
    const output = await createFileOutput(path);
    await output.write("hel");
    assert.equal(readdirSync(folder).includes("report.csv"), false);
    await output.write("lo");
    assert.deepEqual(await output.finish(), { bytes: 5, sha256: HELLO });
    await output.discard();
    assert.equal(readFileSync(path, "utf8"), "hello");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(readdirSync(folder).includes("report.csv.partial"), false);
  });

  test("one that is given up leaves nothing, and what was there before stays", async () => {
    const path = join(folder, "kept.csv");
    writeFileSync(path, "before");
    const output = await createFileOutput(path);
    await output.write("x".repeat(100_000));
    await output.discard();
    assert.equal(readFileSync(path, "utf8"), "before");
    assert.equal(readdirSync(folder).includes("kept.csv.partial"), false);
  });

  test("standard output gets the same, in order, however slowly it is read", async () => {
    const stream = new PassThrough({ highWaterMark: 10 });
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    const output = createStreamOutput(stream);
    const texts = Array.from({ length: 30 }, (_, index) => `${index} ${"é".repeat(10_000)}\n`);
    for (const text of texts) await output.write(text);
    const { bytes } = await output.finish();
    assert.equal(Buffer.concat(chunks).toString(), texts.join(""));
    assert.equal(bytes, Buffer.byteLength(texts.join("")));
  });
});

describe("the evidence command's usage", () => {
  for (const [what, args, code, says] of [
    ["no --from", ["--format", "csv"], 2, /required option '--from <time>' not specified/],
    ["no --format", ["--from", "1d"], 2, /required option '--format <format>' not specified/],
    ["another format", ["--from", "1d", "--format", "pdf"], 2, /Allowed choices are csv, json, html/],
    [
      "a period that ends before it begins",
      ["--from", "2026-03-02", "--to", "2026-03-01", "--format", "csv"],
      2,
      /--from \(2026-03-02T00:00:00\.000Z\) is not before --to \(2026-03-02T00:00:00\.000Z\)/,
    ],
    [
      "a phone that is none",
      ["--from", "1d", "--format", "csv", "--phone", "212555"],
      2,
      /There is no report of the phone "\*\*\*\*55": .*--region US/,
    ],
    [
      "a folder that isn't there",
      ["--from", "1d", "--format", "csv", "--output", "/no/such/report.csv"],
      2,
      /can't be written to "\/no\/such\/report\.csv".*--output/,
    ],
    ["a Kafka that isn't there", ["--from", "1d", "--format", "csv"], 1, /127\.0\.0\.1:1/],
  ] as const) {
    test(`${what} ends with ${code} and says so`, async () => {
      await using cli = runCli(["evidence", "--config", CONFIG, ...args]);
      assert.equal(await finished(cli), code);
      assert.match(cli.stderr(), says);
      assert.doesNotMatch(cli.stderr(), /\n +at /);
    });
  }
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { CommanderError } from "commander";
import fc from "fast-check";
import { type LintResult, lint, lintCommand } from "../../src/commands/lint.ts";
import { OptoutError } from "../../src/errors.ts";

async function* chunksOf(...chunks: (Uint8Array | string)[]): AsyncGenerator<Uint8Array | string> {
  yield* chunks;
}

async function lintAll(chunks: (Uint8Array | string)[], defaultRegion = "US") {
  const results: LintResult[] = [];
  const summary = await lint(
    chunksOf(...chunks),
    (line) => {
      assert.ok(line.endsWith("\n"));
      results.push(JSON.parse(line));
    },
    { defaultRegion },
  );
  return { results, summary };
}

test("each line is judged as the relay would judge the record, and blank ones only count", async () => {
  const { results, summary } = await lintAll([
    '{"phone": "(212) 555-0123", "source": "web"}\r\n\n  \t\n{"phone": "555"}\n',
    'not json\n{"phone": "+442079460958", "action": "opt_in"}\n{"phone": 2125550123}',
  ]);
  assert.deepEqual(
    results.map(({ line, outcome, phone, reason }) => [line, outcome, phone, reason]),
    [
      [1, "ok", "+12125550123", null],
      [4, "rejected", null, "invalid_phone"],
      [5, "rejected", null, "undecodable"],
      [6, "rejected", null, "unsupported_action"],
      [7, "ok", "+12125550123", null],
    ],
  );
  assert.deepEqual(Object.keys(results[0] ?? {}), ["line", "outcome", "phone", "reason", "detail"]);
  assert.ok(results.every(({ outcome, detail }) => (outcome === "ok") === (detail === null)));
  assert.deepEqual(summary, { ok: 2, rejected: 3 });
});

test("the default region decides how a national number is read", async () => {
  const london = '{"phone": "020 7946 0958"}\n';
  assert.equal((await lintAll([london], "GB")).results[0]?.phone, "+442079460958");
  assert.equal((await lintAll([london], "US")).results[0]?.reason, "invalid_phone");
});

test("bytes that aren't UTF-8 spoil their own line only", async () => {
  const good = Buffer.from('{"phone": "+12125550123"}\n');
  const { results } = await lintAll([good, Buffer.from([0x7b, 0xc3, 0x28, 0x0a]), good]);
  assert.deepEqual(
    results.map(({ reason }) => reason),
    [null, "undecodable", null],
  );
});

test("an endless line is rejected without being kept, and the next one is read", async () => {
  const megabyte = Buffer.alloc(1024 * 1024, "x");
  const { results } = await lintAll([...Array(64).fill(megabyte), '\n{"phone": "+12125550123"}\n']);
  assert.deepEqual(
    results.map(({ line, reason }) => [line, reason]),
    [
      [1, "undecodable"],
      [2, null],
    ],
  );
  assert.match(results[0]?.detail ?? "", /longer than/);
});

test("the results don't depend on how the input is cut into chunks", async () => {
  const input = Buffer.from('{"phone":"+12125550123"}\n\n{"phone":"٢١٢ 5550123"}\r\nx\n{"phone":"1"}');
  const whole = await lintAll([input]);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(input.length)), async (cuts) => {
      const edges = [0, ...cuts.sort((a, b) => a - b), input.length];
      const chunks = edges.slice(1).map((end, i) => input.subarray(edges[i], end));
      assert.deepEqual(await lintAll(chunks), whole);
    }),
  );
});

test("a slow reader is waited for before the next line is judged", async () => {
  let pending = 0;
  await lint(
    chunksOf("x\n".repeat(20)),
    async () => {
      pending += 1;
      assert.equal(pending, 1);
      await nextTurn();
      pending -= 1;
    },
    { defaultRegion: "US" },
  );
  assert.equal(pending, 0);
});

const commandUrl = new URL("../../src/commands/lint.js", import.meta.url).href;
const script = `const { lintCommand } = await import(${JSON.stringify(commandUrl)});
await lintCommand().parseAsync(process.argv.slice(1), { from: "user" });`;

async function run(args: string[], input: string) {
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, "--", ...args], {
    timeout: 30_000,
  });
  child.stdin.on("error", () => {}).end(input);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  return { stdout, stderr, code };
}

function fileWith(t: TestContext, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), "optout-lint-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "events.ndjson");
  writeFileSync(file, content);
  return file;
}

const ok = '{"phone": "020 7946 0958"}\n';

test("the command reads a file or standard input, and exits with 1 if a line was rejected", async (t) => {
  const fromFile = await run([fileWith(t, ok), "--default-region", "gb"], "");
  assert.equal(fromFile.code, 0);
  assert.equal(
    fromFile.stdout,
    '{"line":1,"outcome":"ok","phone":"+442079460958","reason":null,"detail":null}\n',
  );
  assert.equal(fromFile.stderr, "1 ok, 0 rejected\n");
  assert.deepEqual(await run(["--json", "--default-region", "gb"], ok), fromFile);
  const fromInput = await run(["-"], ok.repeat(5_000));
  assert.equal(fromInput.code, 1);
  assert.equal(fromInput.stdout.split("\n").length, 5_001);
  assert.equal(fromInput.stderr, "0 ok, 5000 rejected\n");
});

test("a reader that leaves early ends the command quietly", async () => {
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { timeout: 30_000 });
  child.stdin.on("error", () => {}).end(ok.repeat(20_000));
  const [stderr, [code, signal]] = await Promise.all([
    text(child.stderr),
    once(child, "exit"),
    once(child.stdout, "data").then(() => child.stdout.destroy()),
  ]);
  assert.deepEqual([stderr, code, signal], ["", 0, null]);
});

test("a file that can't be read is wrong usage, and says which and why", async (t) => {
  const folder = join(fileWith(t, ""), "..");
  for (const [file, why] of [
    [
      join(folder, "absent.ndjson"),
      /Cannot read ".*absent\.ndjson": there is no such file\. Name a readable/,
    ],
    [folder, /Cannot read ".*": it is a folder\. Name a readable/],
  ] as const) {
    await assert.rejects(
      lintCommand().parseAsync([file], { from: "user" }),
      (error) => error instanceof OptoutError && error.code === "usage" && why.test(error.message),
    );
  }
});

test("an unknown region is wrong usage, and says what is expected", async () => {
  for (const region of ["XX", "usa", "constructor", ""]) {
    const command = lintCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => {} });
    await assert.rejects(
      command.parseAsync(["--default-region", region], { from: "user" }),
      (error) => error instanceof CommanderError && /ISO 3166 alpha-2/.test(error.message),
    );
  }
});

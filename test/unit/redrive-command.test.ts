import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { describe, test } from "node:test";
import { InvalidArgumentError } from "commander";
import { createCounter } from "../../src/commands/counter.ts";
import { parseMoment } from "../../src/commands/moment.ts";
import { confirm } from "../../src/redrive/confirm.ts";
import { finished, runCli } from "../support/process.ts";

const NOW = Date.parse("2026-03-10T12:00:00Z");

describe("a point in time on the command line", () => {
  for (const [text, expected] of [
    ["90s", "2026-03-10T11:58:30.000Z"],
    ["2h", "2026-03-10T10:00:00.000Z"],
    ["14d", "2026-02-24T12:00:00.000Z"],
    ["2026-03-01T09:00:00Z", "2026-03-01T09:00:00.000Z"],
    ["2026-03-01T10:00:00.5+01:00", "2026-03-01T09:00:00.500Z"],
    ["999999d", "1970-01-01T00:00:00.000Z"],
    ["9007199254740991ms", "1970-01-01T00:00:00.000Z"],
    ["1901-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"],
  ] as const) {
    test(`${text} is ${expected}`, () => {
      assert.equal(new Date(parseMoment(text, NOW)).toISOString(), expected);
    });
  }

  for (const text of ["", "2", "-2h", "2 h", "yesterday", "2026-02-30T00:00:00Z", "2026-03-01", "1h30m"]) {
    test(`"${text}" is none, which says what would be`, () => {
      assert.throws(() => parseMoment(text, NOW), InvalidArgumentError);
    });
  }
});

describe("a question before events are sent", () => {
  const ask = async (answer: string | null, abort = false) => {
    const input = new PassThrough();
    const output = new PassThrough();
    const stopping = new AbortController();
    const agreed = confirm("Send 3?", { input, output, signal: stopping.signal });
    if (answer !== null) input.end(answer);
    if (abort) stopping.abort();
    return { agreed: await agreed, asked: String(output.read()) };
  };

  for (const [answer, agreed] of [
    ["y\n", true],
    [" YES \n", true],
    ["n\n", false],
    ["\n", false],
    ["yesterday\n", false],
    ["", false],
  ] as const) {
    test(`${JSON.stringify(answer)} is a ${agreed ? "yes" : "no"}`, async () => {
      assert.deepEqual(await ask(answer), { agreed, asked: "Send 3? [y/N] " });
    });
  }

  test("being stopped is a no", async () => {
    assert.equal((await ask(null, true)).agreed, false);
  });
});

/** After which kafkajs gives up a request, milliseconds. */
const REQUEST_TIMEOUT_MS = 15_000;

describe("a redrive that is stopped", () => {
  test("ends at once, also while brokers don't answer", async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = silent.address();
    assert.ok(typeof address === "object" && address !== null);
    const env = {
      OPTOUT_KAFKA__BROKERS: `127.0.0.1:${address.port}`,
      OPTOUT_ENVIRONMENTS__0__NAME: "production",
      OPTOUT_ENVIRONMENTS__0__BASE_URL: "https://cxone.example.com",
      OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_ID: "relay",
      OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET: "relay-secret",
    };
    await using cli = runCli(["redrive", "--all", "--yes"], { env });
    await once(silent, "connection");
    const stoppedAt = performance.now();
    cli.kill("SIGINT");
    assert.equal(await finished(cli), 1);
    assert.equal(cli.stderr(), "Stopped. Nothing was sent.\n");
    assert.ok(performance.now() - stoppedAt < REQUEST_TIMEOUT_MS, "nor does it wait for the request's end");
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
});

describe("a counter", () => {
  const run = (isTTY: boolean) => {
    const written: string[] = [];
    let time = 0;
    const counter = createCounter(
      { isTTY, write: (text: string | Uint8Array) => written.push(String(text)) > 0 },
      () => time,
    );
    return { counter, written, at: (moment: number) => (time = moment) };
  };
  const of = (done: number) => ({ done, total: 200 });

  test("is a line that changes on a terminal, and leaves nothing behind", () => {
    const { counter, written, at } = run(true);
    counter.count("reading", of(1));
    counter.clear();
    at(100);
    counter.count("reading", of(20));
    at(150);
    counter.count("reading", of(30));
    at(200);
    counter.count("reading", of(199));
    counter.clear();
    counter.clear();
    assert.deepEqual(written, [
      "\r\x1b[2Kreading: 20 of 200 (10 %)",
      "\r\x1b[2Kreading: 199 of 200 (99 %)",
      "\r\x1b[2K",
    ]);
  });

  test("is a plain line every two seconds elsewhere, and nothing for short work", () => {
    const { counter, written, at } = run(false);
    for (const moment of [0, 1_999, 2_000, 3_999, 4_000]) {
      at(moment);
      counter.count("reading", of(moment / 40));
      counter.clear();
    }
    assert.deepEqual(written, ["reading: 50 of 200 (25 %)\n", "reading: 100 of 200 (50 %)\n"]);
  });
});

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createIntake } from "../../src/gateway/intake.ts";
import { fuzz, fuzzAsync, hostileJson, mutated } from "../support/fuzz.ts";
import { gatewayWith } from "./gateway-fixture.ts";

const intake = createIntake({ defaultRegion: "US", regionBySource: { ivr: "GB" } });
const JSON_BODIES = [
  '{"phone":"(212) 555-0123","source":"web","occurredAt":"2026-03-01T09:00:00Z","eventId":"e"}',
  '{"phone":"2125550123#","source":"ivr"}',
  '{"phone":12125550123,"expiresAt":"2030-01-01T00:00:00Z","region":"US","action":"opt_out"}',
  '\ufeff{"phone":"+12125550123","phone":"+12125550123"}',
].map((text) => Buffer.from(text));
const FORMS = [
  "phone=%2B12125550123&source=web",
  "phone=+1+212+555+0123",
  "phone=( 44) 20 7183 8750&region=GB",
  '{"phone":1}=',
].map((text) => Buffer.from(text));
const WORDS = [
  "phone",
  "source",
  "eventId",
  "region",
  "action",
  "opt_out",
  "occurredAt",
  "expiresAt",
  "+12125550123",
  "2125550123#",
];

/** A record whose number is normal, or a refusal that quotes nothing. */
function check(body: Buffer | URLSearchParams, idempotencyKey: string | undefined): void {
  const taken = intake({ body, idempotencyKey });
  if (!taken.ok) {
    assert.ok(taken.detail.length > 0 && taken.detail.length < 300);
    assert.doesNotMatch(taken.detail.replace(/at position \d+/, ""), /\d{5}/);
    return;
  }
  assert.match(taken.phone, /^\+[1-9]\d{6,14}$/);
  assert.ok(taken.eventId.length > 0 && taken.eventId.length <= 256);
  const value = JSON.parse(String(taken.message.value));
  assert.deepEqual(
    [value.phone, value.eventId, taken.message.key],
    [taken.phone, taken.eventId, taken.phone],
  );
  assert.ok(
    Object.keys(value).every((key) => WORDS.includes(key)),
    Object.keys(value).join(),
  );
  assert.ok(String(taken.message.value).length < 1_500);
}

const key = fc.option(
  fc.oneof(fc.string({ unit: "binary", maxLength: 300 }), fc.constantFrom('"a\\"b"', '"', '""', "a b", " ")),
  { nil: undefined },
);

describe("whatever is posted to the gateway", () => {
  test("bodies and forms of which some bytes changed are a record or a refusal", () => {
    fuzz(fc.tuple(mutated(JSON_BODIES), key), ([body, id]) => check(body, id), 1_500);
    fuzz(
      fc.tuple(mutated(FORMS), key),
      ([form, id]) => check(new URLSearchParams(form.toString()), id),
      1_000,
    );
    fuzz(fc.tuple(hostileJson(WORDS), key), ([text, id]) => check(Buffer.from(text), id), 1_000);
    const pairs = fc.array(
      fc.tuple(
        fc.constantFrom(...WORDS, "__proto__", "constructor"),
        fc.string({ unit: "binary", maxLength: 20 }),
      ),
      { maxLength: 5 },
    );
    fuzz(fc.tuple(pairs, key), ([given, id]) => check(new URLSearchParams(given), id), 1_000);
  });

  test("requests that are nearly HTTP are answered as documented, or their connection ends; then others are served", async () => {
    await using setup = await gatewayWith({ gateway: { requestsPerSecond: 100_000 } });
    const { port } = new URL(setup.gateway.url);
    const body = '{"phone":"2125550123"}';
    const head = (more: string): string =>
      `POST /opt-out HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n${more}\r\n\r\n`;
    const seeds = [
      head(`content-length: ${body.length}`) + body,
      `${head("transfer-encoding: chunked")}16\r\n${body}\r\n0\r\n\r\n`,
      `${head("content-length: 5\r\ntransfer-encoding: chunked")}16\r\n${body}\r\n0\r\n\r\n`,
      head(`content-length: ${body.length}\r\nexpect: 100-continue\r\nidempotency-key: k`) + body,
      head(
        `content-length: ${body.length}\r\nx-forwarded-for: 1.2.3.4:5\r\nauthorization: Bearer x\r\norigin: http://a`,
      ) + body,
      "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\nGET /../etc/passwd HTTP/1.0\r\n\r\n",
      "GET http://other.example/livez HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
      "POST /opt-out HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: 9\r\n\r\n--b\r\n--b--",
    ].map((text) => Buffer.from(text));
    await fuzzAsync(
      mutated(seeds),
      async (bytes) => {
        const answer = await say(Number(port), bytes);
        for (const [, code] of answer.matchAll(/^HTTP\/1\.1 (\d+) /gm))
          assert.match(
            code ?? "",
            /^(100|20[024]|400|40[1345]|408|409|41[1357]|422|429|431|50[35])$/,
            answer,
          );
        assert.doesNotMatch(answer, /\n\s+at |node_modules|ENOENT|root:/);
      },
      250,
    );
    assert.equal((await setup.post({ phone: "2125550123" })).status, 202);
    assert.doesNotMatch(setup.logs.join("\n"), /2125550123|failed to answer/);
  });
});

/** Sends the bytes and an end, and answers all that comes until the connection does. */
function say(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const received: Buffer[] = [];
    const socket = connect(port, "127.0.0.1", () => socket.end(bytes));
    socket.on("data", (chunk: Buffer) => received.push(chunk));
    socket.on("error", () => {});
    socket.on("close", () => resolve(Buffer.concat(received).toString("latin1")));
  });
}

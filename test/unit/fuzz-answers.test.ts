import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import type { Answer, HttpResponse, TokenAnswer } from "../../src/delivery/dialects/dialect.ts";
import { MAX_RESPONSE_BYTES } from "../../src/delivery/exchange.ts";
import { MAX_RETRY_AFTER_MS } from "../../src/delivery/retry.ts";
import { createTokenSource } from "../../src/delivery/token-source.ts";
import { fuzzAsync, hostileJson, mutated, mutatedText } from "../support/fuzz.ts";
import {
  dialectWith as adminDncGroups,
  CONFIGURATION,
  found,
  RECORDS,
  submission,
  US,
} from "./delivery-admin-dnc-groups-fixture.ts";
import { dialectWith as complianceDnc } from "./delivery-compliance-dnc-fixture.ts";
import { network, signal } from "./delivery-dialect-fixture.ts";
import { clientOf, listen, noUsedConnections, post } from "./delivery-http-fixture.ts";

const ENTRIES = "POST https://api.example.com/base/api/v2/compliance/dnc/entries";
const KINDS = ["acknowledged", "short", "refused", "unauthorized", "misconfigured", "unavailable", "entries"];
const BODIES = [
  '{"success":true,"entriesProcessed":3,"duplicateCount":0}',
  '{"resultSet":{"errorCount":1,"recordResults":[{"success":true,"error":null},{"success":true},{"success":false,"error":"no: 4155552671"}]}}',
  '{"access_token":"abc","token_type":"bearer","expires_in":3600}',
  '{"api_endpoint":"https://api.example.com/","token_endpoint":"https://issuer.example.com/token"}',
];
const WORDS = [
  ...[
    "success",
    "entriesProcessed",
    "duplicateCount",
    "resultSet",
    "errorCount",
    "recordResults",
    "error",
    "access_token",
  ],
  ...[
    "token_type",
    "Bearer",
    "expires_in",
    "api_endpoint",
    "token_endpoint",
    "https://api.example.com",
    "+14155552671",
  ],
];

const status = fc.oneof(
  fc.constantFrom(200, 201, 204, 301, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503),
  fc.integer({ min: 200, max: 599 }),
);
const body = fc.oneof(mutatedText(BODIES), hostileJson(WORDS), fc.string({ unit: "binary", maxLength: 50 }));
const when = fc.oneof(
  fc.constantFrom(
    "0",
    "-1",
    "1e9",
    "9".repeat(400),
    "0x10",
    "1.5",
    "Infinity",
    "",
    " 5 ",
    "Wed, 21 Oct 2015 07:28:00 GMT",
    "Fri, 31 Dec 9999 23:59:60 GMT",
  ),
  mutatedText([
    "120",
    "Wed, 21 Oct 2030 07:28:00 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 2030",
  ]),
);
const response: fc.Arbitrary<HttpResponse> = fc
  .record({
    status,
    body,
    retryAfter: when,
    date: when,
    requestId: fc.string({ unit: "binary", maxLength: 600 }),
  })
  .map(({ status: code, body: text, retryAfter, date, requestId }) => {
    const headers = new Map([
      ["retry-after", retryAfter],
      ["date", date],
      ["x-request-id", requestId],
    ]);
    return { status: code, body: text, header: (name) => headers.get(name) };
  });

const isWait = (wait: number | undefined): boolean =>
  wait === undefined || (wait > 0 && wait <= MAX_RETRY_AFTER_MS);

function checkAnswer(answer: Answer, { status: code }: HttpResponse): void {
  const { verdict, requestId, detail } = answer;
  assert.ok(KINDS.includes(verdict.kind), verdict.kind);
  assert.ok((requestId ?? "").length <= 200);
  assert.doesNotMatch(detail ?? "", /\d{5}/);
  if (verdict.kind === "unavailable") assert.ok(isWait(verdict.retryAfter), String(verdict.retryAfter));
  if (verdict.kind === "entries") {
    assert.equal(verdict.outcomes.length, US.length);
    for (const outcome of verdict.outcomes)
      if (outcome.kind !== "taken") assert.doesNotMatch(outcome.detail, /\d{5}/);
  }
  if (verdict.kind === "acknowledged" || verdict.kind === "short") assert.ok(code >= 200 && code < 300);
}

/** Visible ASCII, so that it can be sent; a token without a lifetime that counts is asked for anew. */
function checkToken(answer: TokenAnswer): void {
  if (answer.ok) {
    assert.match(answer.token.value, /^[\x21-\x7e]+$/);
    assert.ok(answer.token.lifetime === undefined || answer.token.lifetime > 0);
  } else {
    assert.ok(isWait(answer.retryAfter));
    assert.doesNotMatch(answer.detail ?? "", /\d{5}/);
  }
}

describe("whatever an environment answers", () => {
  test("entries have a verdict of the list, and nothing of the answer is quoted", async () => {
    await fuzzAsync(
      response,
      async (answer) => {
        const compliance = await complianceDnc().submit(
          network({ [ENTRIES]: answer }).send,
          submission(US),
          signal,
        );
        checkAnswer(compliance, answer);
        const { send } = network({ [CONFIGURATION]: found, [RECORDS]: answer });
        checkAnswer(await adminDncGroups().submit(send, submission(US), signal), answer);
      },
      600,
    );
  });

  test("there is a token that can be sent, or none; and it is used for a second at least, a day at most", async () => {
    await fuzzAsync(
      fc.array(response, { minLength: 1, maxLength: 3 }),
      async (answers) => {
        let nth = 0;
        const send = async (): Promise<HttpResponse> => answers[Math.min(nth++, answers.length - 1)] ?? found;
        for (const dialect of [complianceDnc(), adminDncGroups()]) {
          nth = 0;
          checkToken(await dialect.requestToken(send, signal));
        }
        let [clock, requests] = [0, 0];
        const source = createTokenSource({
          fetchToken: () => {
            requests += 1;
            nth = 0;
            return complianceDnc().requestToken(send, signal);
          },
          onRefresh: () => {},
          now: () => clock,
        });
        const first = await source.get();
        for (let ask = 0; ask < 50; ask += 1) await source.get();
        if (first.ok) assert.ok(requests <= 2, `${requests} requests within an instant`);
        clock = 24 * 3_600_000 + 1;
        const before = requests;
        await source.get();
        assert.ok(requests > before, "after a day it is asked for again");
      },
      150,
    );
  });

  test("an API's address that the issuer names is used only if it is a plain one", async () => {
    const address = fc.oneof(
      mutatedText(["https://api.example.com/base", "http://a", "https://u:p@h/", "https://h:99999/#x"]),
      fc.webUrl(),
    );
    await fuzzAsync(
      address,
      async (api) => {
        const asked: string[] = [];
        const send = async ({ url }: { url: string }): Promise<HttpResponse> => {
          asked.push(url);
          return url.includes(".well-known")
            ? { status: 200, header: () => undefined, body: JSON.stringify({ api_endpoint: api }) }
            : { status: 500, header: () => undefined, body: "" };
        };
        await adminDncGroups().submit(send, submission(US), signal);
        for (const url of asked) assert.match(url, /^https:\/\/[^/@#]+\//);
      },
      200,
    );
  });

  test("bytes that are nearly HTTP are an answer of bounded size or an exception, and no connection is left", async (t) => {
    const text = BODIES[0] ?? "";
    const gzipped = gzipSync(text);
    const seeds = [
      `HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\nx-request-id: 1\r\n\r\n${text}`,
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n5\r\n${text.slice(0, 5)}\r\n33;a=b\r\n${text.slice(5)}\r\n0\r\nx: y\r\n\r\n`,
      "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nretry-after: 2\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nset-cookie: a=b\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
      "HTTP/1.0 200 OK\r\n\r\nx",
    ].map((seed) => Buffer.from(seed));
    seeds.push(
      Buffer.concat([
        Buffer.from(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${gzipped.length}\r\n\r\n`),
        gzipped,
      ]),
    );
    let answer: Buffer = Buffer.alloc(0);
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", () => socket.end(answer));
    });
    const url = await listen(t, server);
    const client = clientOf(t, { connections: 2, timeout: 500 });
    await fuzzAsync(
      mutated(seeds),
      async (bytes) => {
        answer = bytes;
        const result = await post(client, url).catch((error: unknown) => error);
        if (result instanceof Error) return;
        const { status: code, body: received, header } = result as HttpResponse;
        assert.ok(code >= 100 && code <= 999 && received.length <= MAX_RESPONSE_BYTES);
        const retryAfter = header("retry-after");
        assert.ok(retryAfter === undefined || typeof retryAfter === "string");
      },
      400,
    );
    await noUsedConnections(server);
  });
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { test } from "node:test";
import { OptoutError } from "../../src/errors.ts";
import { createOauthTokenSource } from "../../src/kafka/oauth.ts";

async function tokenServer(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
) {
  const bodies: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    bodies.push(Buffer.concat(chunks).toString());
    answer(request, response, bodies.at(-1) ?? "");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    options: {
      tokenUrl: `http://127.0.0.1:${port}/token?tenant=private`,
      clientId: "relay",
      clientSecret: "s3cret",
    },
    bodies,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

const isOptout = (code: OptoutError["code"], words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof OptoutError);
  assert.equal(error.code, code);
  assert.match(error.message, words);
  assert.doesNotMatch(error.message, /s3cret|private/);
  return true;
};

test("a token is fetched once for all who ask, and again after four fifths of its life", async () => {
  let issued = 0;
  await using server = await tokenServer((request, response) => {
    assert.equal(request.headers.authorization, `Basic ${Buffer.from("relay:s3cret").toString("base64")}`);
    issued += 1;
    response.end(JSON.stringify({ access_token: `token-${issued}`, expires_in: 100 }));
  });
  let now = 0;
  const token = createOauthTokenSource({ ...server.options, scope: "kafka" }, () => now);
  const first = await Promise.all([token(), token(), token()]);
  assert.deepEqual(first, Array(3).fill({ value: "token-1" }));
  assert.deepEqual(server.bodies, ["grant_type=client_credentials&scope=kafka"]);
  now = 79_999;
  assert.deepEqual(await token(), { value: "token-1" });
  now = 80_000;
  assert.deepEqual(await token(), { value: "token-2" });
});

test("a token server that stumbles is asked again", async () => {
  let asked = 0;
  await using server = await tokenServer((_request, response) => {
    asked += 1;
    response.statusCode = asked < 3 ? 503 : 200;
    response.end(JSON.stringify({ access_token: "late" }));
  });
  assert.deepEqual(await createOauthTokenSource(server.options)(), { value: "late" });
  assert.equal(asked, 3);
});

test("a refusal is told at once, without the secret or the URL's query", async () => {
  await using server = await tokenServer((_request, response) => {
    response.statusCode = 401;
    response.end("{}");
  });
  const refused = isOptout(
    "kafka_unauthorized",
    /127\.0\.0\.1:\d+\/token gave no Kafka token: it answered 401.*clientSecret/,
  );
  await assert.rejects(createOauthTokenSource(server.options)(), refused);
  assert.equal(server.bodies.length, 1);
});

test("an answer without a token is a refusal, an absent server is unreachable", async () => {
  await using server = await tokenServer((_request, response) => response.end("<html>"));
  await assert.rejects(
    createOauthTokenSource(server.options)(),
    isOptout("kafka_unauthorized", /holds no access_token/),
  );
  const absent = { ...server.options, tokenUrl: "http://127.0.0.1:1/token" };
  await assert.rejects(createOauthTokenSource(absent)(), isOptout("kafka_unreachable", /ECONNREFUSED/));
});

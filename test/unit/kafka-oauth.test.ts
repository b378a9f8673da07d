import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { test } from "node:test";
import { OptoutError } from "../../src/errors.ts";
import { createOauthTokenSource, type OauthOptions, oauthAuthenticator } from "../../src/kafka/oauth.ts";
import { createLogger, silentLogger } from "../../src/observability/logger.ts";

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

const tokensOf = (options: OauthOptions, now?: () => number) =>
  createOauthTokenSource(() => options, silentLogger(), now);

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
  const token = tokensOf({ ...server.options, scope: "kafka" }, () => now);
  const first = await Promise.all([token(), token(), token()]);
  assert.deepEqual(first, Array(3).fill("token-1"));
  assert.deepEqual(server.bodies, ["grant_type=client_credentials&scope=kafka"]);
  now = 79_999;
  assert.deepEqual(await token(), "token-1");
  now = 80_000;
  assert.deepEqual(await token(), "token-2");
});

test("a token server that stumbles is asked again", async () => {
  let asked = 0;
  await using server = await tokenServer((_request, response) => {
    asked += 1;
    response.statusCode = asked < 3 ? 503 : 200;
    response.end(JSON.stringify({ access_token: "late" }));
  });
  assert.deepEqual(await tokensOf(server.options)(), "late");
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
  await assert.rejects(tokensOf(server.options)(), refused);
  assert.equal(server.bodies.length, 1);
});

test("an answer without a token is a refusal, an absent server is unreachable", async () => {
  await using server = await tokenServer((_request, response) => response.end("<html>"));
  await assert.rejects(tokensOf(server.options)(), isOptout("kafka_unauthorized", /holds no access_token/));
  const absent = { ...server.options, tokenUrl: "http://127.0.0.1:1/token" };
  await assert.rejects(tokensOf(absent)(), isOptout("kafka_unreachable", /ECONNREFUSED/));
});

test("in the last fifth of its life a token is still given when the server fails, and the log says so", async () => {
  let isDown = false;
  await using server = await tokenServer((_request, response) => {
    response.statusCode = isDown ? 401 : 200;
    response.end(JSON.stringify({ access_token: "old", expires_in: 100 }));
  });
  const lines: string[] = [];
  const logger = createLogger({ level: "info", format: "json" }, { write: (line) => lines.push(line) });
  let now = 0;
  const token = createOauthTokenSource(
    () => server.options,
    logger,
    () => now,
  );
  assert.equal(await token(), "old");
  isDown = true;
  now = 99_999;
  assert.deepEqual(await Promise.all([token(), token()]), ["old", "old"]);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /it answered 401.*The token before is used until it expires\./);
  now = 100_000;
  await assert.rejects(token(), isOptout("kafka_unauthorized", /it answered 401/));
});

test("nobody waits for a server that hangs while the old token is valid", async () => {
  let isHanging = false;
  await using server = await tokenServer((_request, response) => {
    if (!isHanging) response.end(JSON.stringify({ access_token: "old", expires_in: 100 }));
  });
  let now = 0;
  const token = tokensOf(server.options, () => now);
  assert.equal(await token(), "old");
  isHanging = true;
  now = 80_000;
  assert.deepEqual(await Promise.all([token(), token()]), ["old", "old"]);
  assert.equal(server.bodies.length, 2, "one request is under way for both");
});

test("the secret is read for each request", async () => {
  const secrets: string[] = [];
  await using server = await tokenServer((request, response) => {
    const [, credentials = ""] = request.headers.authorization?.split(" ") ?? [];
    secrets.push(Buffer.from(credentials, "base64").toString());
    response.end(JSON.stringify({ access_token: "a", expires_in: 100 }));
  });
  let clientSecret = "one";
  let now = 0;
  const token = createOauthTokenSource(
    () => ({ ...server.options, clientSecret }),
    silentLogger(),
    () => now,
  );
  await token();
  clientSecret = "two";
  now = 100_000;
  await token();
  assert.deepEqual(secrets, ["relay:one", "relay:two"]);
});

/** A login at a broker that gives these answers in turn; what it was sent, without the length before. */
function login(answers: string[], token = async () => "t0ken") {
  const said: string[] = [];
  const authenticator = oauthAuthenticator(token)({
    host: "kafka-1",
    port: 9092,
    logger: {
      info() {},
      warn() {},
      error() {},
      debug() {},
      namespace: () => assert.fail(),
      setLogLevel() {},
    },
    async saslAuthenticate({ request, response }) {
      const bytes = await request.encode();
      assert.equal(bytes.readInt32BE(), bytes.length - 4);
      said.push(bytes.subarray(4).toString());
      const answer = Buffer.from(answers.shift() ?? "");
      const decoded = await response?.decode(Buffer.concat([Buffer.of(0, 0, 0, answer.length), answer]));
      return decoded === undefined ? undefined : response?.parse(decoded);
    },
  });
  return { said, done: authenticator.authenticate() };
}

test("a login presents the token as RFC 7628 has it", async () => {
  const { said, done } = login([""]);
  await done;
  assert.deepEqual(said, ["n,,\u0001auth=Bearer t0ken\u0001\u0001"]);
});

test("a token that the broker refuses in its answer is refused, with its reason", async () => {
  const { said, done } = login(['{"status":"invalid_token"}']);
  await assert.rejects(
    done,
    isOptout(
      "kafka_unauthorized",
      /^Kafka at kafka-1:9092 refused the token of kafka\.sasl\.tokenUrl \(invalid_token\)/,
    ),
  );
  assert.deepEqual(said.slice(1), ["\u0001"]);
  await assert.rejects(
    login(["t0ken <html>"]).done,
    isOptout("kafka_unauthorized", /refused the token of kafka\.sasl\.tokenUrl\. Check kafka\.sasl\.scope/),
  );
});

test("without a token the login that has begun is ended, and the token's failure is told", async () => {
  const failure = new OptoutError("kafka_unreachable", "no token");
  const { said, done } = login([], () => Promise.reject(failure));
  await assert.rejects(done, failure);
  assert.deepEqual(said, ["\u0001"]);
});

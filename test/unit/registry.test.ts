import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { test } from "node:test";
import { OptoutError } from "../../src/errors.ts";
import { createRegistry } from "../../src/registry/registry.ts";

const avsc = JSON.stringify({ type: "record", name: "R", fields: [{ name: "a", type: "string" }] });

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

async function registryServer(answer: Answer, requestTimeout = 60_000) {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    request.resume();
    request.on("end", () => answer(request, response));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/apis/ccompat/v7`;
  return {
    url,
    requests,
    registry: createRegistry({ url, username: "relay", password: "s3cret", requestTimeout }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

const reply = (response: ServerResponse, status: number, body: unknown) => {
  response.writeHead(status, { "content-type": "application/vnd.schemaregistry.v1+json" });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
};

const isOptout = (code: OptoutError["code"], words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof OptoutError);
  assert.equal(error.code, code);
  assert.match(error.message, words);
  assert.doesNotMatch(error.message, /s3cret/);
  return true;
};

test("a schema that the subject has is only looked up", async () => {
  await using server = await registryServer((request, response) => {
    assert.equal(request.headers.authorization, `Basic ${Buffer.from("relay:s3cret").toString("base64")}`);
    reply(response, 200, { subject: "s", id: 7, version: 1, schema: avsc });
  });
  assert.equal(await server.registry.registerSchema("events/1-value", avsc), 7);
  assert.deepEqual(server.requests, ["POST /apis/ccompat/v7/subjects/events%2F1-value"]);
});

test("a schema that it hasn't is registered", async () => {
  await using server = await registryServer((request, response) => {
    if (request.url?.endsWith("/versions")) reply(response, 200, { id: 8 });
    else reply(response, 404, { error_code: 40401, message: "Subject not found" });
  });
  assert.equal(await server.registry.registerSchema("s-value", avsc), 8);
  assert.equal(server.requests.length, 2);
});

test("a schema that another has registered in the meantime is found after all", async () => {
  let lookUps = 0;
  await using server = await registryServer((request, response) => {
    if (request.url?.endsWith("/versions")) reply(response, 409, { message: "already exists" });
    else if (++lookUps === 1) reply(response, 404, { error_code: 40401, message: "Subject not found" });
    else reply(response, 200, { subject: "s", id: 9, version: 1, schema: avsc });
  });
  assert.equal(await server.registry.registerSchema("s-value", avsc), 9);
});

test("a schema that is refused and not there is incompatible, whatever was asked first", async () => {
  await using server = await registryServer((request, response) => {
    if (request.url?.endsWith("/versions")) reply(response, 409, { message: "reader field" });
    else reply(response, 404, { error_code: 40403, message: "Schema not found" });
  });
  await assert.rejects(
    server.registry.registerSchema("s-value", avsc),
    isOptout("configuration", /not compatible.*reader field/),
  );
});

const refusals: [what: string, status: number, body: unknown, code: OptoutError["code"], words: RegExp][] = [
  ["a login that is refused", 401, "", "configuration", /answered 401.*"relay".*username and password/],
  ["a user without the right", 403, { message: "no" }, "configuration", /answered 403/],
  [
    "an incompatible schema",
    409,
    { message: "reader field" },
    "configuration",
    /"s-value".*not compatible.*reader field/,
  ],
  ["a wrong path", 404, "<html>", "configuration", /answered 404.*schemaRegistry\.url/],
  ["a registry that has too much to do", 429, "", "registry_unreachable", /answered 429/],
  ["a registry that fails", 500, { message: "boom" }, "registry_unreachable", /answered 500/],
  ["a proxy's page instead of an answer", 200, "<html>", "configuration", /answered 200/],
];
for (const [what, status, body, code, words] of refusals) {
  test(`${what} is explained as ${code}`, async () => {
    await using server = await registryServer((_request, response) => reply(response, status, body));
    await assert.rejects(server.registry.registerSchema("s-value", avsc), isOptout(code, words));
  });
}

test("a registry that takes the connection and never answers is unreachable after the timeout", async () => {
  await using server = await registryServer(() => {}, 300);
  const silent = isOptout("registry_unreachable", /no answer within 300 ms/);
  await assert.rejects(server.registry.registerSchema("s-value", avsc), silent);
  await assert.rejects(server.registry.serializer(1), silent);
});

test("a registry that isn't there is unreachable", async () => {
  const registry = createRegistry({ url: "http://127.0.0.1:1", requestTimeout: 2_000 });
  await assert.rejects(
    registry.registerSchema("s-value", avsc),
    isOptout("registry_unreachable", /ECONNREFUSED/),
  );
  await assert.rejects(registry.serializer(1), isOptout("registry_unreachable", /127\.0\.0\.1:1/));
});

test("records are encoded in the wire format of the schema's id, without waiting", async () => {
  await using server = await registryServer((_request, response) => reply(response, 200, { schema: avsc }));
  const serialize = await server.registry.serializer(258);
  assert.deepEqual(serialize({ a: "hi" }), Buffer.from([0, 0, 0, 1, 2, 4, 0x68, 0x69]));
  assert.deepEqual(server.requests, ["GET /apis/ccompat/v7/schemas/ids/258"]);
});

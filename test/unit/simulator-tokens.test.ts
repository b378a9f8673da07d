import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  batchOf,
  createManualClock,
  jsonOf,
  NAME,
  postEntries,
  requestToken,
  startSimulator,
  tokenOf,
} from "./simulator-client.ts";

describe("simulator: tokens", () => {
  test("a token request with any credentials is answered with a bearer token and its lifetime", async (t) => {
    const simulator = await startSimulator(t);
    const response = await requestToken(simulator);
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
    const body = await jsonOf(response);
    assert.deepEqual(Object.keys(body), ["access_token", "token_type", "expires_in"]);
    assert.equal(body.token_type, "Bearer");
    assert.equal(body.expires_in, 3600);
  });

  test("empty credentials are invalid_client", async (t) => {
    const simulator = await startSimulator(t);
    for (const fields of [{ client_id: "" }, { client_secret: "" }]) {
      const response = await requestToken(simulator, fields);
      assert.equal(response.status, 401);
      assert.equal((await jsonOf(response)).error, "invalid_client");
    }
  });

  test("an environment with its own credentials takes no others", async (t) => {
    const environments = [{ name: NAME, clientId: "relay", clientSecret: "s3cret" }];
    const simulator = await startSimulator(t, { environments });
    assert.equal((await requestToken(simulator)).status, 200);
    for (const fields of [{ client_id: "other" }, { client_secret: "wrong" }]) {
      const response = await requestToken(simulator, fields);
      assert.equal(response.status, 401);
      assert.equal((await jsonOf(response)).error, "invalid_client");
    }
  });

  test("a scope that doesn't exist is invalid_scope", async (t) => {
    const simulator = await startSimulator(t);
    const response = await requestToken(simulator, { scope: "dnc:write admin" });
    assert.equal(response.status, 400);
    assert.equal((await jsonOf(response)).error, "invalid_scope");
  });

  test("another grant type and a body that is no form are refused", async (t) => {
    const simulator = await startSimulator(t);
    const otherGrant = await requestToken(simulator, { grant_type: "password" });
    assert.equal(otherGrant.status, 400);
    assert.equal((await jsonOf(otherGrant)).error, "unsupported_grant_type");
    const json = await fetch(`${simulator.baseUrl(NAME)}/oauth/token`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ grant_type: "client_credentials" }),
    });
    assert.equal(json.status, 400);
    assert.equal((await jsonOf(json)).error, "invalid_request");
  });

  test("entries without a token, or with one that was never issued, are 401", async (t) => {
    const simulator = await startSimulator(t);
    for (const token of ["", "made-up"]) {
      assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 401);
    }
    assert.deepEqual(simulator.entries(NAME), []);
  });

  test("a token without dnc:write is 403 on entries", async (t) => {
    const simulator = await startSimulator(t);
    for (const scope of ["dnc:read", ""]) {
      const token = await tokenOf(simulator, { scope });
      assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 403);
    }
    assert.deepEqual(simulator.entries(NAME), []);
  });

  test("a token of one environment is unknown to another", async (t) => {
    const simulator = await startSimulator(t, { environments: [NAME, "us-west"] });
    const token = await tokenOf(simulator);
    const elsewhere = await postEntries(simulator, { token, body: batchOf(1), name: "us-west" });
    assert.equal(elsewhere.status, 401);
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 201);
  });

  test("a token is good until tokenTtlSeconds have passed, and 401 from then on", async (t) => {
    const { clock, advance } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    simulator.setFaults(NAME, { tokenTtlSeconds: 60 });
    const response = await requestToken(simulator);
    const { access_token: token, expires_in: ttl } = await jsonOf(response);
    assert.equal(ttl, 60);
    assert.ok(typeof token === "string");
    advance(59_999);
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 201);
    advance(1);
    assert.equal((await postEntries(simulator, { token, body: batchOf(1), key: "batch-2" })).status, 401);
  });

  test("revoked tokens are 401, and a new one works", async (t) => {
    const simulator = await startSimulator(t);
    const token = await tokenOf(simulator);
    simulator.revokeTokens(NAME);
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 401);
    const fresh = await tokenOf(simulator);
    assert.equal((await postEntries(simulator, { token: fresh, body: batchOf(1) })).status, 201);
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  accessTokenOf,
  adminTokenOf,
  assertCut,
  batchOf,
  createManualClock,
  jsonOf,
  NAME,
  phoneOf,
  postEntries,
  postRecords,
  received,
  recordsOf,
  requestAccessKeyToken,
  requestPasswordToken,
  SERVICES_PATH,
  startSimulator,
  tokenOf,
} from "./simulator-client.ts";

const OPENID = "/.well-known/openid-configuration";
const CXONE = "/.well-known/cxone-configuration?tenantId=acme";

const CREDENTIALS = {
  name: NAME,
  clientId: "client@acme",
  clientSecret: "a:b %+é",
  accessKeyId: "key",
  accessKeySecret: "k3y",
};

describe("simulator: admin-dnc-groups discovery", () => {
  test("the issuer, the token endpoint and the API's host are absolute, with the host the client used", async (t) => {
    const simulator = await startSimulator(t);
    const baseUrl = simulator.baseUrl(NAME).replace("127.0.0.1", "localhost");
    assert.deepEqual(await (await fetch(`${baseUrl}${OPENID}`)).json(), {
      issuer: baseUrl,
      token_endpoint: `${baseUrl}/auth/token`,
      grant_types_supported: ["password"],
      token_endpoint_auth_methods_supported: ["client_secret_basic"],
    });
    assert.deepEqual(await (await fetch(`${baseUrl}${CXONE}`)).json(), {
      tenantId: "acme",
      api_endpoint: baseUrl,
    });
  });

  test("the API's host is told to those who name a tenant only", async (t) => {
    const simulator = await startSimulator(t);
    for (const query of ["", "?tenantId="]) {
      const response = await fetch(`${simulator.baseUrl(NAME)}/.well-known/cxone-configuration${query}`);
      assert.equal(response.status, 400);
    }
  });

  test("discovery is logged as other, and an outage spares it no more than the rest", async (t) => {
    const simulator = await startSimulator(t);
    const discover = (path: string): Promise<Response> => fetch(`${simulator.baseUrl(NAME)}${path}`);
    await discover(CXONE);
    simulator.setFaults(NAME, { outage: "503", retryAfter: 3 });
    const down = await discover(OPENID);
    assert.deepEqual([down.status, down.headers.get("retry-after")], [503, "3"]);
    simulator.setFaults(NAME, { outage: true });
    await assertCut(discover(OPENID));
    assert.deepEqual(
      simulator.requests(NAME).map(({ kind, path, status }) => [kind, path, status]),
      [
        ["other", "/.well-known/cxone-configuration", 200],
        ["other", OPENID, 503],
        ["other", OPENID, 0],
      ],
    );
  });
});

describe("simulator: admin-dnc-groups tokens", () => {
  test("both ways give a bearer token that can write, and are logged as tokens", async (t) => {
    const simulator = await startSimulator(t);
    for (const request of [requestPasswordToken, requestAccessKeyToken]) {
      const response = await request(simulator);
      assert.equal(response.status, 200);
      const { access_token: token, ...rest } = await jsonOf(response);
      assert.deepEqual(rest, { token_type: "Bearer", expires_in: 3600 });
      const posted = await postRecords(simulator, { token: String(token), body: recordsOf(1) });
      assert.equal(posted.status, 200);
    }
    assert.deepEqual(
      simulator.requests(NAME).map(({ kind, path, sha256 }) => [kind, path, sha256 === null]),
      [
        ["token", "/auth/token", true],
        ["entries", `${SERVICES_PATH}/dnc-groups/7/records`, false],
        ["token", "/authentication/v1/token/access-key", true],
        ["entries", `${SERVICES_PATH}/dnc-groups/7/records`, false],
      ],
    );
  });

  test("any credentials will do, but empty ones", async (t) => {
    const simulator = await startSimulator(t);
    const answers = [
      await requestPasswordToken(simulator, { username: "c", password: "d" }, "a:b"),
      await requestPasswordToken(simulator, {}, null),
      await requestPasswordToken(simulator, {}, "relay"),
      await requestPasswordToken(simulator, {}, "relay:"),
      await requestPasswordToken(simulator, { username: "" }),
      await requestPasswordToken(simulator, { password: "" }),
      await requestAccessKeyToken(simulator, { accessKeyId: "a", accessKeySecret: "b" }),
      await requestAccessKeyToken(simulator, { accessKeyId: "" }),
      await requestAccessKeyToken(simulator, { accessKeySecret: "" }),
    ];
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 401, 401, 401, 400, 400, 200, 401, 401],
    );
  });

  test("an environment with its own credentials takes no others; a Basic credential may be form-encoded or not", async (t) => {
    const simulator = await startSimulator(t, { environments: [CREDENTIALS] });
    const basic = "client%40acme:a%3Ab+%25%2B%C3%A9";
    const answers = [
      await requestPasswordToken(simulator, {}, basic),
      await requestPasswordToken(simulator, {}, "client@acme:a:b %+é"),
      await requestPasswordToken(simulator, {}, `${basic}x`),
      await requestPasswordToken(simulator, { username: "other" }, basic),
      await requestPasswordToken(simulator, { password: "wrong" }, basic),
      await requestAccessKeyToken(simulator),
      await requestAccessKeyToken(simulator, { accessKeyId: "other" }),
      await requestAccessKeyToken(simulator, { accessKeySecret: "wrong" }),
    ];
    const errors = [];
    for (const answer of answers) errors.push([answer.status, (await jsonOf(answer)).error]);
    assert.deepEqual(errors, [
      [200, undefined],
      [200, undefined],
      [401, "invalid_client"],
      [400, "invalid_grant"],
      [400, "invalid_grant"],
      [200, undefined],
      [401, "invalid_access_key"],
      [401, "invalid_access_key"],
    ]);
  });

  test("another grant type, a body that is no form and a key that is no JSON are 400", async (t) => {
    const simulator = await startSimulator(t);
    const otherGrant = await requestPasswordToken(simulator, { grant_type: "client_credentials" });
    assert.equal(otherGrant.status, 400);
    assert.equal((await jsonOf(otherGrant)).error, "unsupported_grant_type");
    for (const body of ["{", "[]", '{"accessKeyId":"key"}', '{"accessKeyId":1,"accessKeySecret":"k3y"}']) {
      const response = await requestAccessKeyToken(simulator, body);
      assert.equal(response.status, 400);
      assert.equal((await jsonOf(response)).error, "invalid_request");
    }
  });

  test("the tokens of both dialects are alike: lifetime, revocation, outage, latency", async (t) => {
    const { clock, advance } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    simulator.setFaults(NAME, { tokenTtlSeconds: 60 });
    const token = await accessTokenOf(await requestPasswordToken(simulator));
    const status = async (): Promise<number> =>
      (await postRecords(simulator, { token, body: recordsOf(1) })).status;
    assert.equal((await postEntries(simulator, { token, body: batchOf(1) })).status, 201);
    assert.equal(await status(), 200);
    advance(60_000);
    assert.equal(await status(), 401);
    const other = await adminTokenOf(simulator);
    simulator.revokeTokens(NAME);
    assert.equal((await postRecords(simulator, { token: other, body: recordsOf(1) })).status, 401);

    simulator.setFaults(NAME, { outage: "503" });
    assert.equal((await requestPasswordToken(simulator)).status, 503);
    assert.equal((await requestAccessKeyToken(simulator)).status, 503);
    simulator.setFaults(NAME, { latencyMs: 60_000 });
    const before = simulator.requests(NAME).length;
    const pending = assertCut(requestAccessKeyToken(simulator));
    await received(simulator, before + 1);
    simulator.setFaults(NAME, { outage: true });
    await pending;
  });
});

describe("simulator: admin-dnc-groups groups", () => {
  const get = async (url: string, token: string, method = "GET"): Promise<Record<string, unknown>> =>
    jsonOf(await fetch(url, { method, headers: { authorization: `Bearer ${token}` } }));

  test("a group is active and scrubbed against a skill, unless the faults say otherwise", async (t) => {
    const simulator = await startSimulator(t);
    const token = await adminTokenOf(simulator);
    const url = `${simulator.baseUrl(NAME)}${SERVICES_PATH}/dnc-groups/42`;
    const group = (isActive: boolean): object => {
      const names = { dncGroupName: "Group 42", dncGroupDescription: "" };
      return { resultSet: { dncGroups: [{ dncGroupId: 42, ...names, isActive, isRemoved: false }] } };
    };
    const scrubbed = { totalRecords: 1, scrubbedSkills: [{ skillId: 1, skillName: "Outbound" }] };
    const unscrubbed = { totalRecords: 0, scrubbedSkills: [] };
    for (const [dncGroup, active, skills] of [
      [undefined, true, scrubbed],
      ["inactive", false, scrubbed],
      ["unscrubbed", true, unscrubbed],
    ] as const) {
      simulator.setFaults(NAME, dncGroup === undefined ? {} : { dncGroup });
      assert.deepEqual(await get(url, token), group(active));
      assert.deepEqual(await get(`${url}/scrubbed-skills`, token), skills);
    }
    assert.equal((await postRecords(simulator, { token, body: recordsOf(1), group: "42" })).status, 200);
  });

  test("a search finds the groups that a number is in", async (t) => {
    const { clock } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    const token = await adminTokenOf(simulator);
    for (const group of ["7", "42", "7"]) {
      await postRecords(simulator, { token, body: recordsOf(1), group });
    }
    await postEntries(simulator, { token, body: batchOf(1, 1) });
    const search = (phoneNumber: string): Promise<Record<string, unknown>> =>
      get(
        `${simulator.baseUrl(NAME)}${SERVICES_PATH}/dnc-groups/search?phoneNumber=${phoneNumber}`,
        token,
        "POST",
      );
    const found = (dncGroupId: number): object => ({
      dncGroupId,
      dncGroupName: `Group ${dncGroupId}`,
      formattedPhone: "(212) 555-0000",
      expiredDate: null,
      dateCollected: "2030-01-01T00:00:00.000Z",
    });
    const everywhere = { searchResults: [found(7), found(42)] };
    assert.deepEqual(await search("2125550000"), everywhere);
    assert.deepEqual(await search(phoneOf(0).slice(1)), everywhere);
    assert.deepEqual(await search("2125550001"), { searchResults: [] });
    assert.deepEqual(await search("2125550009"), { searchResults: [] });
    for (const wrong of ["", "%2B12125550000", "0123"]) {
      assert.equal((await search(wrong)).error, "invalid_request");
    }
  });

  test("reading takes a token, of any scope, and nothing of the quota", async (t) => {
    const { clock } = createManualClock();
    const simulator = await startSimulator(t, { clock });
    simulator.setFaults(NAME, { requestsPerSecond: 1 });
    const url = `${simulator.baseUrl(NAME)}${SERVICES_PATH}/dnc-groups/42`;
    for (const [method, path] of [
      ["GET", url],
      ["GET", `${url}/scrubbed-skills`],
      ["POST", `${simulator.baseUrl(NAME)}${SERVICES_PATH}/dnc-groups/search?phoneNumber=2125550000`],
    ] as const) {
      const statuses = [];
      for (const token of ["made-up", await tokenOf(simulator, { scope: "dnc:read" })]) {
        const headers = { authorization: `Bearer ${token}` };
        statuses.push((await fetch(path, { method, headers })).status);
      }
      assert.deepEqual(statuses, [401, 200], path);
    }
    const token = await adminTokenOf(simulator);
    assert.equal((await postRecords(simulator, { token, body: recordsOf(1) })).status, 200);
    const kinds = simulator.requests(NAME).map(({ kind }) => kind);
    assert.equal(kinds.filter((kind) => kind === "other").length, 6);
    assert.equal(kinds.filter((kind) => kind === "entries").length, 1);
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { adminDncGroups } from "../../src/delivery/dialects/admin-dnc-groups.ts";
import type { HttpResponse } from "../../src/delivery/dialects/dialect.ts";
import { COMMON, NOW, network, response, signal } from "./delivery-dialect-fixture.ts";

const ISSUER = "https://issuer.example.com/base";
const ACCESS_KEY = `POST ${ISSUER}/authentication/v1/token/access-key`;
const DISCOVERY = `GET ${ISSUER}/.well-known/openid-configuration`;
const ENDPOINT = "POST https://login.example.com/token?a=b";

interface Auth {
  accessKeyId: string;
  accessKeySecret: string;
  clientId?: string;
  clientSecret?: string;
}

const KEY: Auth = { accessKeyId: "key", accessKeySecret: "k3y & more" };
const CLIENT: Auth = { ...KEY, clientId: "relay", clientSecret: "s3cret" };

const dialectWith = (auth: Auth, issuer = ISSUER) =>
  adminDncGroups.create({
    environment: {
      ...{ ...COMMON, baseUrl: issuer, auth: KEY },
      ...{ tenantId: "t", apiVersion: 30, groupId: 42, numberForms: {} },
    },
    auth: () => auth,
    now: () => NOW,
  });

const ask = async (auth: Auth, routes: Record<string, HttpResponse>) => {
  const { send, requests, urls } = network(routes);
  const result = await dialectWith(auth).requestToken(send, signal);
  return { result, requests, urls };
};

const issued = response(200, { access_token: "t1", token_type: "Bearer", expires_in: 3600 });
const token = { value: "t1", lifetime: 3_600_000 };
const discovered = response(200, { token_endpoint: "https://login.example.com/token?a=b" });

describe("admin-dnc-groups: a token for an access key alone", () => {
  test("is asked for at the issuer, in JSON", async () => {
    const { result, requests, urls } = await ask(KEY, { [ACCESS_KEY]: issued });
    assert.deepEqual(result, { ok: true, token });
    assert.deepEqual(urls(), [ACCESS_KEY]);
    assert.deepEqual(requests[0]?.headers, {
      "content-type": "application/json",
      accept: "application/json",
    });
    assert.equal(requests[0]?.body, '{"accessKeyId":"key","accessKeySecret":"k3y & more"}');
  });

  test("is asked for with the credentials of now", async () => {
    const { requests } = await ask({ ...KEY, accessKeySecret: "rotated" }, { [ACCESS_KEY]: issued });
    assert.equal(requests[0]?.body, '{"accessKeyId":"key","accessKeySecret":"rotated"}');
  });
});

describe("admin-dnc-groups: a token for an access key and a client", () => {
  test("is asked for at the discovered endpoint, which may be another host, by the password grant", async () => {
    const { result, requests, urls } = await ask(CLIENT, { [DISCOVERY]: discovered, [ENDPOINT]: issued });
    assert.deepEqual(result, { ok: true, token });
    assert.deepEqual(urls(), [DISCOVERY, ENDPOINT]);
    assert.equal(requests[0]?.headers.authorization, undefined);
    assert.deepEqual(requests[1]?.headers, {
      authorization: `Basic ${Buffer.from("relay:s3cret").toString("base64")}`,
      "content-type": "application/x-www-form-urlencoded",
      accept: "application/json",
    });
    assert.deepEqual(Object.fromEntries(new URLSearchParams(requests[1]?.body.toString())), {
      grant_type: "password",
      username: "key",
      password: "k3y & more",
    });
  });

  test("credentials never go out in clear, wherever an https issuer points", async () => {
    for (const token_endpoint of ["http://login.example.com/token", "http://issuer.example.com/base"]) {
      const { result, urls } = await ask(CLIENT, { [DISCOVERY]: response(200, { token_endpoint }) });
      assert.deepEqual(urls(), [DISCOVERY]);
      assert.deepEqual(result, {
        ok: false,
        refused: true,
        httpStatus: 200,
        detail: "the token_endpoint that the issuer gives is not https, so nothing is sent there",
      });
    }
  });

  test("an http issuer, as the simulator is one, may point to http", async () => {
    const issuer = "http://127.0.0.1:9099/production";
    const { send } = network({
      [`GET ${issuer}/.well-known/openid-configuration`]: response(200, {
        token_endpoint: `${issuer}/token`,
      }),
      [`POST ${issuer}/token`]: issued,
    });
    assert.deepEqual(await dialectWith(CLIENT, issuer).requestToken(send, signal), { ok: true, token });
  });

  test("isn't to be had while discovery fails: for a while, or until somebody looks", async () => {
    for (const status of [408, 425, 429, 500, 503]) {
      const { result } = await ask(CLIENT, { [DISCOVERY]: response(status) });
      assert.deepEqual(result, {
        ok: false,
        refused: false,
        httpStatus: status,
        detail: `the issuer answered ${status} when asked for token_endpoint`,
      });
    }
    for (const status of [302, 401, 403, 404]) {
      const { result } = await ask(CLIENT, { [DISCOVERY]: response(status) });
      assert.ok(!result.ok && result.refused, `${status}`);
    }
    for (const body of ["", "<html>", {}, { token_endpoint: 7 }, { token_endpoint: "/token" }]) {
      const { result } = await ask(CLIENT, { [DISCOVERY]: response(200, body) });
      const detail = "the issuer gives no token_endpoint";
      assert.deepEqual(result, { ok: false, refused: false, httpStatus: 200, detail });
    }
    const { result } = await ask(CLIENT, { [DISCOVERY]: response(503, "", { "retry-after": "9" }) });
    assert.ok(!result.ok);
    assert.equal(result.retryAfter, 9_000);
  });
});

for (const [what, auth, routes] of [
  ["an access key", KEY, {}],
  ["a client", CLIENT, { [DISCOVERY]: discovered }],
] as const) {
  const endpoint = auth === KEY ? ACCESS_KEY : ENDPOINT;
  const answerTo = async (answer: HttpResponse) =>
    (await ask(auth, { ...routes, [endpoint]: answer })).result;

  describe(`admin-dnc-groups: what the token server answers to ${what}`, () => {
    test("a token without a lifetime is taken", async () => {
      assert.deepEqual(await answerTo(response(200, { access_token: "t1" })), {
        ok: true,
        token: { value: "t1", lifetime: undefined },
      });
    });

    test("a success without a token is no token, and not the credentials' fault", async () => {
      for (const body of ["", "<html>Sign in</html>", "{}", { access_token: "t\n1" }]) {
        assert.deepEqual(await answerTo(response(200, body)), { ok: false, refused: false, httpStatus: 200 });
      }
    });

    test("a refusal is one, and trouble is none", async () => {
      for (const status of [400, 401, 403, 404]) {
        assert.deepEqual(await answerTo(response(status)), { ok: false, refused: true, httpStatus: status });
      }
      for (const status of [408, 429, 500, 503]) {
        assert.deepEqual(await answerTo(response(status)), { ok: false, refused: false, httpStatus: status });
      }
    });

    test("it may ask to wait", async () => {
      assert.deepEqual(await answerTo(response(429, "", { "retry-after": "30" })), {
        ...{ ok: false, refused: false, httpStatus: 429, retryAfter: 30_000 },
      });
    });
  });
}

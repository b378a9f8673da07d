import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { HttpResponse, TokenAnswer } from "../../src/delivery/dialects/dialect.ts";
import { CREDENTIALS, dialectWith, exchange } from "./delivery-compliance-dnc-fixture.ts";
import { response, signal } from "./delivery-dialect-fixture.ts";

describe("compliance-dnc: tokens", () => {
  const ask = (answer: HttpResponse, credentials = CREDENTIALS) =>
    exchange(answer, (send) => dialectWith(credentials).requestToken(send, signal));
  const answerTo = async (status: number, body: unknown): Promise<TokenAnswer> =>
    (await ask(response(status, body))).result;
  const lifetimeOf = async (body: object): Promise<number | undefined> => {
    const answer = await answerTo(200, { access_token: "t1", token_type: "Bearer", ...body });
    assert.ok(answer.ok);
    assert.equal(answer.token.value, "t1");
    return answer.token.lifetime;
  };

  test("the request is the contract's form, encoded, to baseUrl or the given address", async () => {
    const { request } = await ask(response(200));
    assert.equal(request.method, "POST");
    assert.equal(request.url, "https://api.example.com/base/oauth/token");
    assert.equal(request.headers["content-type"], "application/x-www-form-urlencoded");
    assert.deepEqual(Object.fromEntries(new URLSearchParams(request.body.toString())), {
      grant_type: "client_credentials",
      client_id: "relay",
      client_secret: "s3cret & more",
      scope: "dnc:write",
    });
    const elsewhere = await ask(response(200), { ...CREDENTIALS, tokenUrl: "https://login.example.com/t" });
    assert.equal(elsewhere.request.url, "https://login.example.com/t");
  });

  test("a token comes with its lifetime in milliseconds", async () => {
    assert.equal(await lifetimeOf({ expires_in: 3600 }), 3_600_000);
    assert.equal(await lifetimeOf({ expires_in: 0.5 }), 500);
    assert.equal(await lifetimeOf({ expires_in: "3600" }), 3_600_000);
    assert.equal(await lifetimeOf({ token_type: "bearer", expires_in: 60 }), 60_000);
  });

  test("a lifetime that is missing or makes no sense is none, and the token is taken", async () => {
    for (const expires_in of [undefined, null, 0, -1, "", "soon", {}, []]) {
      assert.equal(await lifetimeOf({ expires_in }), undefined, JSON.stringify(expires_in));
    }
  });

  test("a success without a token that can be used is no token, and not the credentials' fault", async () => {
    const bodies: unknown[] = [
      "",
      "<html>Sign in</html>",
      "null",
      "{}",
      { access_token: "" },
      { access_token: 7, expires_in: 3600 },
      ...["t1\n", "t1\r\nx: 1", "t 1", "t\u00001", "t\u007f", "tök", "令牌"].map((t) => ({
        access_token: t,
      })),
      { access_token: "t1", token_type: "mac", expires_in: 3600 },
      { error: "invalid_client" },
    ];
    for (const body of bodies) {
      assert.deepEqual(await answerTo(200, body), { ok: false, refused: false, httpStatus: 200 });
    }
  });

  test("a token is taken if and only if it consists of visible ASCII", async () => {
    const tokens = fc.oneof(fc.string(), fc.stringMatching(/^[!-~]+$/), fc.string({ unit: "binary" }));
    const property = fc.asyncProperty(tokens, async (access_token) => {
      const isVisible =
        access_token !== "" && [...access_token].every((char) => char > " " && char < "\u007f");
      assert.equal((await answerTo(200, { access_token })).ok, isVisible);
    });
    await fc.assert(property);
  });

  test("a server in trouble is asked again; any other answer refuses the credentials", async () => {
    for (const status of [408, 425, 429, 500, 502, 503, 504]) {
      assert.deepEqual(await answerTo(status, ""), { ok: false, refused: false, httpStatus: status });
    }
    for (const status of [301, 302, 400, 401, 403, 404, 405]) {
      assert.deepEqual(await answerTo(status, ""), { ok: false, refused: true, httpStatus: status });
    }
  });

  test("the credentials are those of now, not those of the start", async () => {
    const { request } = await ask(response(200), {
      ...CREDENTIALS,
      clientSecret: "rotated",
      scope: "dnc:all",
    });
    const form = new URLSearchParams(request.body.toString());
    assert.deepEqual([form.get("client_secret"), form.get("scope")], ["rotated", "dnc:all"]);
  });

  test("a token server may ask to wait, with 429 and 503", async () => {
    for (let status = 400; status < 600; status++) {
      const { result } = await ask(response(status, "", { "retry-after": "30" }));
      assert.ok(!result.ok);
      assert.equal(result.retryAfter, status === 429 || status === 503 ? 30_000 : undefined, `${status}`);
    }
    const { result } = await ask(response(429, "", { "retry-after": "soon" }));
    assert.deepEqual(result, { ok: false, refused: false, httpStatus: 429 });
  });
});

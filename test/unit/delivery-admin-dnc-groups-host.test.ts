import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Answer, HttpResponse } from "../../src/delivery/dialects/dialect.ts";
import {
  CONFIGURATION,
  dialectWith,
  found,
  RECORDS,
  RECORDS_PATH,
  results,
  submission,
} from "./delivery-admin-dnc-groups-fixture.ts";
import { network, response, signal } from "./delivery-dialect-fixture.ts";

describe("admin-dnc-groups: finding the API", () => {
  const taken = results([true]);
  const one = (token: string) => submission(["+14155552671"], token);

  test("its host is asked for once, by all requests together, and again with the next token", async () => {
    const dialect = dialectWith();
    const { send, urls } = network({ [CONFIGURATION]: found, [RECORDS]: taken });
    await Promise.all([1, 2, 3].map(() => dialect.submit(send, one("t1"), signal)));
    assert.deepEqual(urls(), [CONFIGURATION, RECORDS, RECORDS, RECORDS]);
    await dialect.submit(send, one("t1"), signal);
    await dialect.submit(send, one("t2"), signal);
    assert.deepEqual(urls().slice(4), [RECORDS, CONFIGURATION, RECORDS]);
  });

  test("a host that isn't the API any more is asked for anew", async () => {
    const dialect = dialectWith();
    const moved = response(200, { api_endpoint: "https://new.example.com" });
    const { send, urls } = network({
      [CONFIGURATION]: [found, moved],
      [RECORDS]: response(404),
      [`POST https://new.example.com${RECORDS_PATH}`]: taken,
    });
    assert.equal((await dialect.submit(send, one("t1"), signal)).verdict.kind, "misconfigured");
    assert.equal((await dialect.submit(send, one("t1"), signal)).verdict.kind, "acknowledged");
    assert.equal(urls().length, 4);
  });

  test("an issuer that can't tell is no reason to leave a host that works", async () => {
    const insecure = response(200, { api_endpoint: "http://api.example.com" });
    for (const trouble of [response(503), response(404), response(200, "<html>"), insecure, "cut" as const]) {
      const dialect = dialectWith();
      const { send, urls } = network({ [CONFIGURATION]: [found, trouble], [RECORDS]: taken });
      for (const token of ["t1", "t2", "t2"]) {
        assert.equal((await dialect.submit(send, one(token), signal)).verdict.kind, "acknowledged");
      }
      assert.deepEqual(urls(), [CONFIGURATION, RECORDS, CONFIGURATION, RECORDS, RECORDS]);
    }
  });

  const failing = async (answer: HttpResponse): Promise<Answer> =>
    dialectWith().submit(network({ [CONFIGURATION]: answer }).send, one("t1"), signal);

  test("an issuer in trouble is waited for, as long as it asks", async () => {
    assert.deepEqual((await failing(response(500))).verdict, { kind: "unavailable" });
    assert.deepEqual((await failing(response(429, "", { "retry-after": "7" }))).verdict, {
      kind: "unavailable",
      retryAfter: 7_000,
    });
    const { send } = network({ [CONFIGURATION]: ["cut"] });
    await assert.rejects(dialectWith().submit(send, one("t1"), signal), /hang up/);
  });

  test("an issuer that refuses is a matter of configuration, not of the token or the entries", async () => {
    for (const status of [400, 401, 403, 404, 302]) {
      assert.deepEqual(await failing(response(status)), {
        verdict: { kind: "misconfigured" },
        httpStatus: status,
        requestId: null,
        detail: `the issuer answered ${status} when asked for api_endpoint`,
      });
    }
  });

  test("an answer that names no usable host is a matter of configuration", async () => {
    const bodies: unknown[] = [
      "",
      "<html>",
      "null",
      "[]",
      {},
      { api_endpoint: null },
      { api_endpoint: "" },
      { api_endpoint: "api.example.com" },
    ];
    for (const body of bodies) {
      const answer = await failing(response(200, body));
      assert.deepEqual(answer.verdict, { kind: "misconfigured" });
      assert.equal(answer.detail, "the issuer gives no api_endpoint");
    }
    const answer = await failing(response(200, { api_endpoint: "https://me:pw@api.example.com" }));
    assert.equal(answer.detail, "the api_endpoint that the issuer gives is no plain address");
  });

  test("an https issuer can't lead phones and tokens to plain http", async () => {
    for (const api_endpoint of ["http://api.example.com", "ftp://api.example.com", "javascript:alert(1)"]) {
      const answer = await failing(response(200, { api_endpoint }));
      assert.deepEqual(answer.verdict, { kind: "misconfigured" });
      assert.match(answer.detail ?? "", /is not https, so nothing is sent there$/);
    }
    const issuer = "http://127.0.0.1:9099/production";
    const { send } = network({
      [`GET ${issuer}/.well-known/cxone-configuration?tenantId=t%20%2F1`]: response(200, {
        api_endpoint: issuer,
      }),
      [`POST ${issuer}${RECORDS_PATH}`]: taken,
    });
    const answer = await dialectWith({}, issuer).submit(send, one("t1"), signal);
    assert.equal(answer.verdict.kind, "acknowledged");
  });

  test("an aborted search doesn't hold up those who come after it", async () => {
    const dialect = dialectWith();
    const { send, urls } = network({ [CONFIGURATION]: found, [RECORDS]: taken });
    const ended = new AbortController();
    const deaf = (): Promise<HttpResponse> => new Promise(() => {});
    void dialect.submit(deaf, one("t1"), ended.signal);
    ended.abort();
    assert.equal((await dialect.submit(send, one("t1"), signal)).verdict.kind, "acknowledged");
    assert.deepEqual(urls(), [CONFIGURATION, RECORDS]);
  });
});

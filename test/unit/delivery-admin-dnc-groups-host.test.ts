import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Answer, HttpResponse, HttpSend } from "../../src/delivery/dialects/dialect.ts";
import {
  CONFIGURATION,
  dialectWith,
  found,
  ISSUER,
  RECORDS,
  RECORDS_PATH,
  results,
  submission,
} from "./delivery-admin-dnc-groups-fixture.ts";
import { NOW, network, response, signal } from "./delivery-dialect-fixture.ts";

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

  const moved = response(200, { api_endpoint: "https://new.example.com" });
  const MOVED_RECORDS = `POST https://new.example.com${RECORDS_PATH}`;
  const minute = 60_000;

  /** A dialect on a clock of its own; `kind` is what comes of one submission, an error included. */
  const onClock = (routes: Parameters<typeof network>[0]) => {
    const clock = { now: NOW };
    const dialect = dialectWith({}, ISSUER, () => clock.now);
    const { send, urls } = network(routes);
    const kind = async (token = "t1"): Promise<string> =>
      dialect.submit(send, one(token), signal).then(
        ({ verdict }) => verdict.kind,
        () => "error",
      );
    return { clock, dialect, send, urls, kind };
  };

  for (const [what, answer, kind] of [
    ["that isn't the API any more", response(404), "misconfigured"],
    ["that can't be reached", "cut", "error"],
    ["in trouble", response(500), "unavailable"],
    ["whose answer can't be read", response(200, "<html>"), "short"],
  ] as const) {
    test(`a host ${what} is asked for anew by the next request`, async () => {
      const relay = onClock({ [CONFIGURATION]: [found, moved], [RECORDS]: [answer], [MOVED_RECORDS]: taken });
      assert.deepEqual([await relay.kind(), await relay.kind()], [kind, "acknowledged"]);
      assert.deepEqual(relay.urls(), [CONFIGURATION, RECORDS, CONFIGURATION, MOVED_RECORDS]);
    });
  }

  test("a host that asks to be spared, or doesn't like the request, isn't in doubt", async () => {
    for (const status of [400, 401, 408, 409, 413, 422, 425, 429]) {
      const relay = onClock({ [CONFIGURATION]: found, [RECORDS]: response(status) });
      await relay.kind();
      await relay.kind();
      assert.deepEqual(relay.urls(), [CONFIGURATION, RECORDS, RECORDS], `${status}`);
    }
  });

  test("a host in doubt is asked for once a minute at most, however many requests fail", async () => {
    const relay = onClock({ [CONFIGURATION]: found, [RECORDS]: response(503) });
    const asked = () => relay.urls().filter((url) => url === CONFIGURATION).length;
    for (let second = 0; second < 180; second++) {
      await relay.kind();
      relay.clock.now += 1_000;
    }
    // The first request finds the host, the second is the first to doubt it.
    assert.equal(asked(), 1 + 3);
    relay.clock.now -= 60 * minute;
    await relay.kind();
    assert.equal(asked(), 5, "a clock that was set back doesn't put it off");
  });

  test("an issuer that can't tell is asked about a host in doubt once a minute, and the host used meanwhile", async () => {
    for (const trouble of [response(503), response(404), response(200, "<html>"), "cut" as const]) {
      const relay = onClock({
        [CONFIGURATION]: [found, trouble, trouble, moved],
        [RECORDS]: ["cut"],
        [MOVED_RECORDS]: taken,
      });
      await relay.kind();
      for (const wait of [0, minute - 1, 1, minute - 1]) {
        relay.clock.now += wait;
        assert.equal(await relay.kind(), "error");
      }
      const asked = [CONFIGURATION, RECORDS];
      assert.deepEqual(relay.urls(), [...asked, ...asked, RECORDS, ...asked, RECORDS]);
      relay.clock.now += 1;
      assert.equal(await relay.kind(), "acknowledged");
    }
  });

  test("an issuer that hangs holds up one request for a host in doubt, not the others", async () => {
    const relay = onClock({ [CONFIGURATION]: found, [RECORDS]: [response(500), taken] });
    await relay.kind();
    const deaf = (): Promise<HttpResponse> => new Promise(() => {});
    void relay.dialect.submit(deaf, one("t1"), signal);
    assert.equal(await relay.kind(), "acknowledged");
    assert.deepEqual(relay.urls(), [CONFIGURATION, RECORDS, RECORDS]);
  });

  test("a request that the relay gave up says nothing of the host", async () => {
    const relay = onClock({ [CONFIGURATION]: found, [RECORDS]: taken });
    await relay.kind();
    const given = new AbortController();
    const abort: HttpSend = async () => {
      given.abort();
      throw given.signal.reason;
    };
    await assert.rejects(relay.dialect.submit(abort, one("t1"), given.signal), { name: "AbortError" });
    assert.equal(await relay.kind(), "acknowledged");
    assert.deepEqual(relay.urls(), [CONFIGURATION, RECORDS, RECORDS]);
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

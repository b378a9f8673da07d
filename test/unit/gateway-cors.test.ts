import assert from "node:assert/strict";
import { test } from "node:test";
import { bodyOf, gatewayWith, optOut } from "./gateway-fixture.ts";

const page = "https://www.example.com";

const corsHeaders = (response: Response): string[] =>
  [...response.headers.keys()].filter((name) => name.startsWith("access-control-"));

const preflight = (url: string, origin: string) =>
  fetch(`${url}/opt-out`, {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type,idempotency-key,x-api-key",
    },
  });

test("without configured origins there is no CORS: no preflight, no header", async () => {
  await using setup = await gatewayWith();
  const asked = await preflight(setup.gateway.url, page);
  assert.equal(asked.status, 405);
  const posted = await setup.post(optOut, { origin: page });
  assert.equal(posted.status, 403);
  for (const response of [asked, posted]) {
    assert.deepEqual(corsHeaders(response), []);
    assert.equal(response.headers.get("vary"), null);
  }
});

test("a configured origin may post and read the answer, refusals too; no other may", async () => {
  await using setup = await gatewayWith({
    gateway: { apiKeys: ["k"], cors: { origins: ["HTTPS://www.example.com:443", "http://localhost:3000"] } },
  });
  const { url } = setup.gateway;
  const asked = await preflight(url, page);
  assert.equal(asked.status, 204);
  assert.equal(asked.headers.get("access-control-allow-origin"), page);
  assert.equal(asked.headers.get("access-control-allow-methods"), "POST");
  assert.match(
    asked.headers.get("access-control-allow-headers") ?? "",
    /Content-Type, Idempotency-Key, X-API-Key/,
  );
  assert.equal(asked.headers.get("access-control-allow-credentials"), null);
  for (const response of [
    await setup.post(optOut, { origin: page, "x-api-key": "k" }),
    await setup.post(optOut, { origin: page }),
    await setup.post({}, { origin: page, "x-api-key": "k" }),
  ]) {
    assert.equal(response.headers.get("access-control-allow-origin"), page);
    assert.equal(response.headers.get("access-control-expose-headers"), "Retry-After");
    assert.equal(response.headers.get("vary"), "Origin");
  }
  for (const stranger of ["https://evil.example.com", "https://www.example.com.evil.com", "null"]) {
    assert.equal((await preflight(url, stranger)).status, 405);
    const posted = await setup.post(optOut, { origin: stranger, "x-api-key": "k" });
    assert.deepEqual(corsHeaders(posted), []);
    assert.equal(posted.headers.get("vary"), "Origin");
  }
});

test("every origin is allowed only where * is asked for", async () => {
  await using setup = await gatewayWith({ gateway: { cors: { origins: ["*"] } } });
  assert.equal((await preflight(setup.gateway.url, page)).headers.get("access-control-allow-origin"), "*");
  const posted = await setup.post(optOut, { origin: page });
  assert.equal(posted.headers.get("access-control-allow-origin"), "*");
});

const form = { "content-type": "application/x-www-form-urlencoded" };

test("without keys no foreign web page can post, not even a form, which browsers ask nothing before", async () => {
  await using setup = await gatewayWith({ gateway: { cors: { origins: [page] } } });
  const statusWith = async (headers: Record<string, string>) =>
    (await setup.post("phone=2125550123", { ...form, ...headers })).status;
  const own = setup.gateway.url;
  const foreign: Record<string, string>[] = [
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: own.replace("127.0.0.1", "localhost") },
    { origin: `${own}0` },
    { origin: "https://evil.example", "sec-fetch-site": "cross-site" },
    { origin: own, "sec-fetch-site": "same-site" },
    { "sec-fetch-site": "cross-site" },
  ];
  for (const headers of foreign) assert.equal(await statusWith(headers), 403, JSON.stringify(headers));
  assert.deepEqual(setup.sent, []);
  const answer = await setup.post("phone=2125550123", { ...form, origin: "https://evil.example" });
  assert.deepEqual(await bodyOf(answer), {
    status: "error",
    reason: "foreign_origin",
    detail: "this web page may not opt anybody out: name its origin in gateway.cors.origins",
  });
  assert.deepEqual(await setup.metric("optout_gateway_rejected_total"), ['{reason="foreign_origin"} 8']);

  const welcome: Record<string, string>[] = [
    {},
    { origin: page },
    { origin: page, "sec-fetch-site": "cross-site" },
    { origin: own },
    { origin: own, "sec-fetch-site": "same-origin" },
    // Behind a proxy that writes a Host of its own.
    { origin: "https://optout.example.com", "sec-fetch-site": "same-origin" },
    { "sec-fetch-site": "none" },
  ];
  for (const headers of welcome) assert.equal(await statusWith(headers), 202, JSON.stringify(headers));
});

test("behind a proxy the host of its own pages is the one that a trusted proxy tells", async () => {
  const headers = { origin: "https://optout.example.com", "x-forwarded-host": "optout.example.com" };
  await using behind = await gatewayWith({ gateway: { trustedProxies: ["127.0.0.1"] } });
  assert.equal((await behind.post(optOut, headers)).status, 202);
  await using alone = await gatewayWith();
  assert.equal((await alone.post(optOut, headers)).status, 403);
});

test("with keys, or where every origin is welcome, it doesn't matter what page a request comes from", async () => {
  const foreign = { ...form, origin: "https://evil.example", "sec-fetch-site": "cross-site" };
  await using keyed = await gatewayWith({ gateway: { apiKeys: ["k"] } });
  assert.equal((await keyed.post("phone=2125550123", { ...foreign, "x-api-key": "k" })).status, 202);
  assert.equal((await keyed.post("phone=2125550123", foreign)).status, 401);
  await using open = await gatewayWith({ gateway: { cors: { origins: ["*"] } } });
  assert.equal((await open.post("phone=2125550123", foreign)).status, 202);
});

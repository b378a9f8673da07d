import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayWith, optOut } from "./gateway-fixture.ts";

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
  assert.equal(posted.status, 202);
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

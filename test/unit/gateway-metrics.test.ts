import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../support/wait.ts";
import { gate, gatewayWith, optOut } from "./gateway-fixture.ts";

test("requests are counted by status, refusals by reason, from zero", async () => {
  await using setup = await gatewayWith({ gateway: { apiKeys: ["k"] } });
  const all = await (await fetch(`${setup.gateway.url}/metrics`)).text();
  for (const status of [
    "202",
    "400",
    "401",
    "405",
    "409",
    "413",
    "415",
    "422",
    "429",
    "500",
    "503",
    "aborted",
  ]) {
    assert.match(all, new RegExp(`^optout_gateway_requests_total\\{status="${status}"\\} 0$`, "m"));
  }
  for (const reason of ["invalid_phone", "unauthorized", "rate_limited", "kafka_unavailable"]) {
    assert.match(all, new RegExp(`^optout_gateway_rejected_total\\{reason="${reason}"\\} 0$`, "m"));
  }
  assert.match(all, /^optout_gateway_produce_seconds_count\{outcome="failed"\} 0$/m);
  assert.match(all, /^optout_build_info\{version="[^"]+",node="[^"]+"\} 1$/m);

  const key = { "x-api-key": "k" };
  await setup.post(optOut, key);
  await setup.post(optOut, key);
  await setup.post({}, key);
  await setup.post(optOut);
  await setup.post("<x/>", { ...key, "content-type": "text/xml" });
  await fetch(`${setup.gateway.url}/opt-out`);
  await fetch(`${setup.gateway.url}/nowhere`);
  await fetch(`${setup.gateway.url}/livez`);
  assert.deepEqual(await setup.metric("optout_gateway_requests_total"), [
    '{status="202"} 2',
    '{status="400"} 1',
    '{status="401"} 1',
    '{status="405"} 1',
    '{status="415"} 1',
  ]);
  assert.deepEqual(await setup.metric("optout_gateway_rejected_total"), [
    '{reason="method_not_allowed"} 1',
    '{reason="missing_phone"} 1',
    '{reason="unauthorized"} 1',
    '{reason="unsupported_media_type"} 1',
  ]);
  assert.deepEqual(await setup.metric("optout_gateway_request_seconds_count"), [" 6"]);
  assert.deepEqual(await setup.metric("optout_gateway_produce_seconds_count"), [
    '{outcome="acknowledged"} 2',
  ]);
});

test("what is under way shows in the metrics, and a caller that is gone is counted as such", async () => {
  const kafka = gate();
  await using setup = await gatewayWith({ send: () => kafka.opened });
  const caller = new AbortController();
  const gone = assert.rejects(
    fetch(`${setup.gateway.url}/opt-out`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(optOut),
      signal: caller.signal,
    }),
  );
  await waitFor("the record to be on its way", async () => {
    const [records] = await setup.metric("optout_gateway_records_in_flight");
    return records === " 1";
  });
  assert.deepEqual(await setup.metric("optout_gateway_requests_in_flight"), [" 1"]);
  caller.abort();
  await gone;
  await waitFor("the caller to be missed", async () => {
    const [aborted] = await setup.metric("optout_gateway_requests_total");
    return aborted === '{status="aborted"} 1';
  });
  assert.deepEqual(await setup.metric("optout_gateway_requests_in_flight"), []);
  kafka.open();
  await waitFor("the record to be sent all the same", () => setup.sent.length === 1);
});

test("whatever callers send, no series comes to be", async () => {
  await using setup = await gatewayWith({ gateway: { apiKeys: ["k"], requestsPerSecond: 5 } });
  const series = async () =>
    [...(await (await fetch(`${setup.gateway.url}/metrics`)).text()).matchAll(/^(optout_\S+) \S+$/gm)]
      .map(([, id]) => id)
      .sort();
  const before = await series();
  assert.ok(before.length > 60, "the pattern finds series");
  const words = ["+12125550123", 'a",evil="1', "x".repeat(300), "__proto__", ""];
  const statuses = new Set<number>();
  const note = ({ status }: Response) => statuses.add(status);
  for (const word of words) {
    const odd = encodeURIComponent(word);
    note(await setup.post({ phone: word, source: word, reason: word, status: word }, { "x-api-key": "k" }));
    note(await setup.post(word, { "x-api-key": "k", "content-type": `text/${odd}` }));
    note(await setup.post({ ...optOut, eventId: word }, { "x-api-key": odd, "idempotency-key": odd }));
    note(await fetch(`${setup.gateway.url}/opt-out/${odd}?${odd}`, { method: "PURGE" }));
    note(await fetch(`${setup.gateway.url}/opt-out?${odd}`, { method: "PUT", body: word }));
  }
  for (let request = 0; request < 10; request++) note(await setup.post(optOut, { "x-api-key": "k" }));
  assert.ok(statuses.size >= 5 && statuses.has(429), [...statuses].join(" "));
  assert.deepEqual(await series(), before);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { createRepeats } from "../../src/gateway/repeats.ts";
import { waitFor } from "../support/wait.ts";
import { bodyOf, gate, gatewayWith, optOut } from "./gateway-fixture.ts";

const key = { "idempotency-key": "call-7" };
const other = { phone: "+1 212 555 0199", source: "web" };
const day = 24 * 60 * 60 * 1_000;

test("a repeat under the same key gets the same answer and makes no second record", async () => {
  await using setup = await gatewayWith();
  const first = await setup.post(optOut, key);
  const again = await setup.post(optOut, key);
  // The same opt-out, written otherwise, with the key in quotes as the draft has it.
  const form = await setup.post("phone=%2B12125550123&source=web", {
    "content-type": "application/x-www-form-urlencoded",
    "idempotency-key": '"call-7"',
  });
  const answer = { status: "queued", phone: "+12125550123", eventId: "call-7" };
  for (const response of [first, again, form]) {
    assert.equal(response.status, 202);
    assert.deepEqual(await bodyOf(response), answer);
  }
  assert.equal(setup.sent.length, 1);
  assert.deepEqual(await setup.metric("optout_gateway_repeats_total"), [" 2"]);
});

test("another opt-out under a key that Kafka has is 422", async () => {
  await using setup = await gatewayWith();
  await setup.post(optOut, key);
  const response = await setup.post(other, key);
  assert.equal(response.status, 422);
  assert.equal((await bodyOf(response)).reason, "idempotency_key_reused");
  assert.equal((await setup.post({ phone: "nobody" }, key)).status, 400, "what is no opt-out is that first");
  assert.equal((await setup.post(other, { "idempotency-key": "call-8" })).status, 202);
  assert.equal(setup.sent.length, 2);
});

test("without a key each request is a record", async () => {
  await using setup = await gatewayWith();
  await setup.post({ ...optOut, eventId: "mine" });
  await setup.post({ ...optOut, eventId: "mine" });
  assert.equal(setup.sent.length, 2);
});

test("what one caller means by a key is nothing to another", async () => {
  await using setup = await gatewayWith({ gateway: { apiKeys: ["first", "second"] } });
  assert.equal((await setup.post(optOut, { ...key, "x-api-key": "first" })).status, 202);
  assert.equal((await setup.post(other, { ...key, "x-api-key": "second" })).status, 202);
  assert.equal((await setup.post(other, { ...key, "x-api-key": "first" })).status, 422);
});

test("a repeat while the first is being answered is 409, and 202 afterwards", async () => {
  const kafka = gate();
  const under = gate();
  await using setup = await gatewayWith({
    send: () => {
      under.open();
      return kafka.opened;
    },
  });
  const first = setup.post(optOut, key);
  await under.opened;
  for (const body of [optOut, other]) {
    const early = await setup.post(body, key);
    assert.equal(early.status, 409);
    assert.equal(early.headers.get("retry-after"), "1");
    assert.equal((await bodyOf(early)).reason, "idempotency_key_in_progress");
  }
  kafka.open();
  assert.equal((await first).status, 202);
  assert.equal((await setup.post(optOut, key)).status, 202);
  assert.equal(setup.sent.length, 1);
});

test("a repeat after a 503 waits for the record that is still on its way, and is 202 only once Kafka has it", async () => {
  const kafka = gate();
  let sends = 0;
  await using setup = await gatewayWith({
    patience: 50,
    send: () => {
      sends += 1;
      return kafka.opened;
    },
  });
  assert.equal((await setup.post(optOut, key)).status, 503);
  assert.equal((await setup.post(optOut, key)).status, 503);
  assert.equal(sends, 1);
  kafka.open();
  await waitFor("202", async () => (await setup.post(optOut, key)).status === 202);
  assert.equal(sends, 1);
  assert.equal(setup.sent.length, 1);
});

test("after a 503 another opt-out under the key is sent, and is the one the key stands for", async () => {
  const kafka = gate();
  await using setup = await gatewayWith({ patience: 50, send: () => kafka.opened });
  assert.equal((await setup.post(optOut, key)).status, 503);
  assert.equal((await setup.post(other, key)).status, 503);
  kafka.open();
  await waitFor("both to be sent", () => setup.sent.length === 2);
  assert.equal((await setup.post(other, key)).status, 202);
  assert.equal((await setup.post(optOut, key)).status, 422);
  assert.equal(setup.sent.length, 2);
});

test("a record that Kafka refused is never answered 202 from memory", async () => {
  let refuse = true;
  await using setup = await gatewayWith({
    send: async () => {
      if (refuse) throw new Error("down");
    },
  });
  assert.equal((await setup.post(optOut, key)).status, 503);
  assert.equal((await setup.post(optOut, key)).status, 503);
  refuse = false;
  assert.equal((await setup.post(optOut, key)).status, 202);
  assert.equal(setup.sent.length, 1);
});

const delivery = (acknowledged: boolean) => ({ acknowledged: Promise.resolve(acknowledged), waiting: 0 });

test("keys are remembered for a day, and the last ones only", async () => {
  let time = 0;
  const repeats = createRepeats(() => time, 2);
  for (const id of ["a", "b", "c"]) {
    const sent = delivery(true);
    repeats.remember(id, "f", sent);
    assert.equal(repeats.find(id)?.state, "sending");
    await sent.acknowledged;
    time += 1;
  }
  const states = () => ["a", "b", "c"].map((id) => repeats.find(id)?.state);
  assert.deepEqual(states(), [undefined, "acknowledged", "acknowledged"]);
  time = day + 1;
  assert.deepEqual(states(), [undefined, undefined, "acknowledged"]);
  time = day + 2;
  assert.deepEqual(states(), [undefined, undefined, undefined]);
});

test("a key whose record failed is forgotten", async () => {
  const repeats = createRepeats(() => 0);
  const failed = delivery(false);
  repeats.remember("a", "f", failed);
  await failed.acknowledged;
  assert.equal(repeats.find("a"), undefined);
});

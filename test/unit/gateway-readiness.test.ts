import assert from "node:assert/strict";
import { test } from "node:test";
import { createReadiness } from "../../src/gateway/readiness.ts";
import { createLogger } from "../../src/observability/logger.ts";
import { bodyOf, gate, gatewayWith, type Setup } from "./gateway-fixture.ts";

/** As Prometheus 2 and 3 ask. */
const OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
const silent = createLogger({ level: "silent", format: "json" });

/** What a gateway with this Kafka says of its readiness, in each way, when asked at the same time. */
async function told(setup: Awaited<ReturnType<typeof gatewayWith>>) {
  const { url } = setup.gateway;
  const gauge = async (accept?: string) => {
    const response = await fetch(`${url}/metrics`, { headers: accept === undefined ? {} : { accept } });
    return /^optout_gateway_ready (\d)$/m.exec(await response.text())?.[1];
  };
  const [readyz, text, openMetrics] = await Promise.all([
    fetch(`${url}/readyz`),
    gauge(),
    gauge(OPEN_METRICS),
  ]);
  return { readyz: readyz.status, text, openMetrics };
}

test("the gauge of readiness says what /readyz says, in both formats, through an outage and back", async () => {
  let isDown = true;
  let now = 0;
  const checkKafka: Setup["checkKafka"] = async () => {
    if (isDown) throw new Error("Kafka is away");
  };
  await using setup = await gatewayWith({ checkKafka, now: () => now });
  const at = async (milliseconds: number) => {
    now = milliseconds;
    return told(setup);
  };
  const notReady = { readyz: 503, text: "0", openMetrics: "0" };
  const ready = { readyz: 200, text: "1", openMetrics: "1" };
  assert.deepEqual(await at(0), notReady, "it starts without Kafka");
  isDown = false;
  assert.deepEqual(await at(1_999), notReady, "the answer is good for two seconds");
  assert.deepEqual(await at(2_000), ready);
  isDown = true;
  assert.deepEqual(await at(3_999), ready);
  assert.deepEqual(await at(4_000), notReady);
});

test("the gauge comes with its help and type, and no label", async () => {
  await using setup = await gatewayWith();
  const text = await (await fetch(`${setup.gateway.url}/metrics`)).text();
  assert.match(
    text,
    /^# HELP optout_gateway_ready 1 while .+\n# TYPE optout_gateway_ready gauge\noptout_gateway_ready 1$/m,
  );
});

test("probes and scrapes together ask Kafka once in two seconds", async () => {
  let asked = 0;
  let now = 0;
  const checkKafka = async () => {
    asked++;
  };
  await using setup = await gatewayWith({ checkKafka, now: () => now });
  await Promise.all([told(setup), told(setup)]);
  await told(setup);
  assert.equal(asked, 1);
  now = 2_000;
  await Promise.all([told(setup), told(setup)]);
  assert.equal(asked, 2);
});

test("a Kafka that doesn't answer is waited for once: whoever asks later is told at once, until it answers", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const kafka = gate();
  let now = 0;
  const readiness = createReadiness(
    () => kafka.opened,
    silent,
    () => now,
  );
  const pass = (milliseconds: number): void => {
    now += milliseconds;
    context.mock.timers.tick(milliseconds);
  };
  const first = readiness();
  pass(2_000);
  const second = readiness();
  pass(1_000);
  const reason = "Kafka can't take opt-outs now";
  assert.deepEqual(await Promise.all([first, second]), [reason, reason], "three seconds after the question");
  const third = readiness();
  pass(0);
  assert.equal(await third, reason, "the question is overdue");
  kafka.open();
  await kafka.opened;
  const fourth = readiness();
  assert.equal(await fourth, undefined);
});

test("a scrape during an outage has all other metrics, too", async () => {
  await using setup = await gatewayWith({
    checkKafka: async () => {
      throw new Error("away");
    },
  });
  await setup.post({});
  assert.deepEqual(await setup.metric("optout_gateway_ready"), [], "it is 0");
  assert.deepEqual(await setup.metric("optout_gateway_rejected_total"), ['{reason="missing_phone"} 1']);
  const readyz = await fetch(`${setup.gateway.url}/readyz`);
  assert.deepEqual(await bodyOf(readyz), { status: "unavailable", reason: "Kafka can't take opt-outs now" });
});

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { ensureTopics, withAdmin } from "../../src/kafka/topics.ts";
import { gatewayUrl, readyGateway } from "../support/gateway.ts";
import { readTopic, testKafka } from "../support/kafka.ts";
import { type CliProcess, finished, runCli } from "../support/process.ts";
import { startTestStack } from "../support/stack.ts";
import { waitFor } from "../support/wait.ts";

// A broker of its own, because it is stopped.
const stack = await startTestStack({ registry: false });
after(() => stack.stop());
const kafka = testKafka(stack.brokers);
const topics = { events: "gateway-events", status: "gateway-status", deadLetter: "gateway-dead-letter" };
await ensureTopics(kafka, {
  kafka: { brokers: stack.brokers, clientId: "test", groupId: "test", ssl: false, sessionTimeout: 10_000 },
  topics,
});

const startGateway = (more: Record<string, string> = {}): CliProcess =>
  runCli(["gateway"], {
    env: {
      OPTOUT_KAFKA__BROKERS: stack.brokers.join(","),
      OPTOUT_TOPICS__EVENTS: topics.events,
      OPTOUT_TOPICS__STATUS: topics.status,
      OPTOUT_TOPICS__DEAD_LETTER: topics.deadLetter,
      OPTOUT_GATEWAY__PORT: "0",
      OPTOUT_ENVIRONMENTS__0__NAME: "production",
      OPTOUT_ENVIRONMENTS__0__BASE_URL: "http://127.0.0.1:9",
      OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_ID: "id",
      OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET: "secret",
      ...more,
    },
  });

const readiness = async (url: string): Promise<number> => (await fetch(`${url}/readyz`)).status;

const post = (url: string, phone: string, key: string): Promise<Response> =>
  fetch(`${url}/opt-out`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": key },
    body: JSON.stringify({ phone, source: "web" }),
  });

const eventIds = async (): Promise<string[]> => {
  const records = await withAdmin(kafka, stack.brokers, (admin) => readTopic(kafka, admin, topics.events));
  return records.map(({ key, value }) => {
    const { phone, eventId } = JSON.parse(String(value));
    assert.equal(String(key), phone);
    return eventId;
  });
};

test("what was answered 202 is on the topic, through an outage of Kafka and back", async () => {
  await using gateway = startGateway();
  const url = await readyGateway(gateway);
  assert.equal((await post(url, "212 555 0123", "before")).status, 202);
  assert.deepEqual(await eventIds(), ["before"]);
  assert.deepEqual(
    gateway.logs().filter(({ level }) => level !== "info"),
    [],
  );

  await stack.stopBroker();
  const started = performance.now();
  const refused = await post(url, "212 555 0124", "during");
  assert.equal(refused.status, 503);
  assert.ok(Number(refused.headers.get("retry-after")) > 0);
  assert.ok(performance.now() - started < 15_000);
  await waitFor("unreadiness", async () => (await readiness(url)) === 503);
  assert.equal((await fetch(`${url}/livez`)).status, 200);

  await stack.startBroker();
  const delivered = await waitFor("Kafka to take opt-outs again", async () => {
    const response = await post(url, "212 555 0125", "after");
    return response.status === 202 && response;
  });
  assert.equal(delivered.status, 202);
  await waitFor("readiness", async () => (await readiness(url)) === 200);
  const ids = new Set(await eventIds());
  assert.ok(ids.has("before") && ids.has("after"));

  gateway.kill("SIGTERM");
  assert.equal(await finished(gateway), 0);
  assert.doesNotMatch(gateway.stdout() + gateway.stderr(), /21255501|212 555/);
});

test("a gateway that starts before Kafka answers 503 until Kafka comes", async () => {
  await stack.stopBroker();
  await using gateway = startGateway();
  const url = await gatewayUrl(gateway);
  assert.equal((await post(url, "212 555 0126", "early")).status, 503);
  assert.equal(await readiness(url), 503);
  await waitFor("the reason to be told", () =>
    gateway.logs().some(({ level, msg }) => level === "warn" && /Can't reach Kafka.*keeps trying/.test(msg)),
  );
  await stack.startBroker();
  await waitFor(
    "Kafka to take opt-outs",
    async () => (await post(url, "212 555 0126", "early")).status === 202,
  );
  gateway.kill("SIGTERM");
  assert.equal(await finished(gateway), 0);
});

test("a missing events topic ends the command with the way out", async () => {
  await using gateway = startGateway({ OPTOUT_TOPICS__EVENTS: "nowhere" });
  assert.equal(await finished(gateway), 1);
  assert.match(gateway.stderr(), /no topic "nowhere" \(topics\.events\).*optout-relay topics/);
});

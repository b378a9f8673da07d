import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ensureTopics, withAdmin } from "../../src/kafka/topics.ts";
import { readyGateway } from "../support/gateway.ts";
import { readTopic, testKafka } from "../support/kafka.ts";
import { finished, runCli } from "../support/process.ts";
import { parseExposition } from "../support/prometheus.ts";
import { phoneOf } from "../support/scenario.ts";
import { startTestStack } from "../support/stack.ts";
import { waitFor } from "../support/wait.ts";

// A broker of its own, because it is killed.
const stack = await startTestStack({ registry: false });
after(() => stack.stop());
const kafka = testKafka(stack.brokers);
const topics = { events: "load-events", status: "load-status", deadLetter: "load-dead-letter" };
await ensureTopics(
  kafka,
  {
    kafka: { brokers: stack.brokers, clientId: "test", groupId: "test", ssl: false, sessionTimeout: 10_000 },
    topics,
  },
  { partitions: 3 },
);

const KEYS = ["key-0", "key-1", "key-2", "key-3"];
const CLIENTS = 32;
/** Of each key: far less than its clients can send, on a busy machine too, so that some are turned away. */
const REQUESTS_PER_SECOND = 40;
/** Between one request of a client and its next. */
const PAUSE_MS = 20;

interface Answered {
  /** 0: the connection was cut, or refused. */
  status: number;
  retryAfter: string | null;
  eventId: string | undefined;
  phone: string;
}

/** Sends one opt-out after the other until the gateway is gone; half of the clients name theirs and repeat them until they are taken. */
async function runClient(url: string, index: number, answers: Answered[]): Promise<void> {
  const repeats = index % 2 === 0;
  for (let n = 0; answers.at(-1)?.status !== 0; ) {
    const answer = await post(url, index, n, repeats ? `client-${index}-${n}` : undefined);
    answers.push(answer);
    if (answer.status === 202 || !repeats) n += 1;
    await sleep(PAUSE_MS);
  }
}

async function post(url: string, index: number, n: number, key: string | undefined): Promise<Answered> {
  const phone = phoneOf(n * CLIENTS + index);
  const headers = {
    "content-type": "application/json",
    "x-api-key": KEYS[index % KEYS.length] ?? "",
    ...(key !== undefined && { "idempotency-key": key }),
  };
  const nothing = { status: 0, retryAfter: null, eventId: undefined, phone };
  try {
    const body = JSON.stringify({ phone, source: "ivr" });
    const response = await fetch(`${url}/opt-out`, { method: "POST", headers, body });
    const retryAfter = response.headers.get("retry-after");
    return {
      ...nothing,
      status: response.status,
      retryAfter,
      eventId: JSON.parse(await response.text()).eventId,
    };
  } catch {
    return nothing;
  }
}

const startGateway = () =>
  runCli(["gateway"], {
    env: {
      OPTOUT_KAFKA__BROKERS: stack.brokers.join(","),
      OPTOUT_TOPICS__EVENTS: topics.events,
      OPTOUT_GATEWAY__PORT: "0",
      OPTOUT_GATEWAY__API_KEYS: KEYS.join(","),
      OPTOUT_GATEWAY__REQUESTS_PER_SECOND: String(REQUESTS_PER_SECOND),
      OPTOUT_ENVIRONMENTS:
        '[{"name":"e","baseUrl":"http://127.0.0.1:9","auth":{"clientId":"c","clientSecret":"s"}}]',
    },
  });

test("nothing acknowledged is missing from the topic, through a killed broker and the gateway's own end", async () => {
  await using gateway = startGateway();
  const url = await readyGateway(gateway);

  const byClient = Array.from({ length: CLIENTS }, (): Answered[] => []);
  const clients = Promise.all(byClient.map((answers, index) => runClient(url, index, answers)));
  /** Waits until each client was answered with this status once more. */
  const everyoneGot = async (status: number): Promise<void> => {
    const seen = byClient.map((answers) => answers.length);
    await waitFor(`a ${status} for each client`, () =>
      byClient.every((answers, index) =>
        answers.slice(seen[index]).some((answer) => answer.status === status),
      ),
    );
  };
  await everyoneGot(202);
  await everyoneGot(429);
  await stack.killBroker();
  await everyoneGot(503);
  await stack.startBroker();
  await everyoneGot(202);

  const before = byClient.flat();
  const counted = parseExposition(await (await fetch(`${url}/metrics`)).text());
  assert.equal(before.filter(({ status }) => status === 0).length, 0, "no connection was cut while it ran");
  gateway.kill("SIGTERM");
  await clients;
  assert.equal(await finished(gateway), 0);

  const answers = byClient.flat();
  const acknowledged = answers.filter(({ status }) => status === 202);
  const statuses = new Set(answers.map(({ status }) => status));
  assert.deepEqual(
    [...statuses].sort((a, b) => a - b),
    [0, 202, 429, 503],
  );
  for (const { status, retryAfter } of answers) {
    if (status === 429 || status === 503) assert.match(retryAfter ?? "", /^[1-9]\d*$/);
  }
  // The metrics were read while clients went on, each of which may have an answer that wasn't counted yet.
  const count = (status: number, of: Answered[]) => of.filter((answer) => answer.status === status).length;
  for (const status of [202, 429, 503]) {
    const value = counted.value("optout_gateway_requests_total", { status: String(status) });
    assert.ok(value <= count(status, answers), `${value} ${status} counted`);
    assert.ok(value >= count(status, before) - CLIENTS, `${value} ${status} counted`);
  }

  const ids = acknowledged.map(({ eventId }) => eventId);
  assert.equal(new Set(ids).size, ids.length, "each event has an id of its own");
  const records = await withAdmin(kafka, stack.brokers, (admin) => readTopic(kafka, admin, topics.events));
  const phoneById = new Map(
    records.map(({ key, value }) => {
      const { eventId, phone } = JSON.parse(String(value));
      assert.equal(String(key), phone);
      return [eventId, phone];
    }),
  );
  const missing = acknowledged.filter(({ eventId, phone }) => phoneById.get(eventId) !== phone);
  assert.deepEqual(missing, []);
  // What else is there was sent by somebody who wasn't told.
  const sent = new Set(answers.map(({ phone }) => phone));
  for (const phone of phoneById.values()) assert.ok(sent.has(phone));
  assert.doesNotMatch(gateway.stdout() + gateway.stderr(), /\+1\d{10}|key-\d/);
});

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import { SchemaRegistry } from "@kafkajs/confluent-schema-registry";
import kafkajs from "kafkajs";
import { OptoutError } from "../../src/errors.ts";
import { createKafka } from "../../src/kafka/client.ts";
import { createRecordProducer } from "../../src/kafka/producer.ts";
import { ensureTopics, requireTopics, withAdmin } from "../../src/kafka/topics.ts";
import { createLogger } from "../../src/observability/logger.ts";
import { createRegistry } from "../../src/registry/registry.ts";
import { registerSchemas } from "../../src/registry/subjects.ts";
import { deadLetterMessage } from "../../src/results/dead-letter.ts";
import { createStatusEncoder, type StatusRecord } from "../../src/results/status.ts";
import { createTopics, readTopic, testKafka } from "../support/kafka.ts";
import { finished, runCli } from "../support/process.ts";
import { releaseStack, sharedStack } from "../support/stack.ts";

const stack = await sharedStack();
after(releaseStack);
const kafka = testKafka(stack.brokers);

function newConfig() {
  const id = randomUUID().slice(0, 8);
  return {
    kafka: {
      brokers: stack.brokers,
      clientId: "test",
      groupId: `g-${id}`,
      ssl: false,
      sessionTimeout: 10_000,
    },
    topics: { events: `events-${id}`, status: `status-${id}`, deadLetter: `dead-${id}` },
    schemaRegistry: { url: stack.registryUrl, requestTimeout: 5_000 },
  };
}

/** The same as OPTOUT_ variables. */
function envOf({ topics, schemaRegistry }: ReturnType<typeof newConfig>, brokers = stack.brokers) {
  return {
    OPTOUT_KAFKA__BROKERS: brokers.join(","),
    OPTOUT_TOPICS__EVENTS: topics.events,
    OPTOUT_TOPICS__STATUS: topics.status,
    OPTOUT_TOPICS__DEAD_LETTER: topics.deadLetter,
    OPTOUT_SCHEMA_REGISTRY__URL: schemaRegistry.url,
    OPTOUT_ENVIRONMENTS__0__NAME: "production",
    OPTOUT_ENVIRONMENTS__0__BASE_URL: "http://127.0.0.1:9",
    OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_ID: "id",
    OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET: "secret",
  };
}

async function settingsOf(topic: string): Promise<Map<string, string>> {
  return withAdmin(kafka, stack.brokers, async (admin) => {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
    });
    return new Map(
      resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]),
    );
  });
}

test("missing topics are named, with the way to create them", async () => {
  const config = newConfig();
  const required = withAdmin(kafka, stack.brokers, (admin) => requireTopics(admin, config));
  await assert.rejects(required, (error: unknown) => {
    assert.ok(error instanceof OptoutError);
    assert.equal(error.code, "topic_missing");
    for (const topic of Object.values(config.topics)) assert.match(error.message, new RegExp(`"${topic}"`));
    assert.match(error.message, /optout-relay topics/);
    return true;
  });
});

test("topics are created with leaders and settings of their own, and a second time nothing changes", async () => {
  const config = newConfig();
  const lines: string[] = [];
  const created = await ensureTopics(kafka, config, { partitions: 4 }, (line) => lines.push(line));
  assert.deepEqual(
    created.map(({ role, created: isNew, partitions }) => [role, isNew, partitions]),
    [
      ["events", true, 4],
      ["status", true, 4],
      ["deadLetter", true, 4],
    ],
  );
  assert.equal(lines.length, 3);
  const events = await settingsOf(config.topics.events);
  assert.equal(events.get("cleanup.policy"), "delete");
  assert.equal(events.get("retention.ms"), String(14 * 86_400_000));
  assert.ok(Number((await settingsOf(config.topics.status)).get("retention.ms")) >= 5 * 365 * 86_400_000);
  assert.equal((await settingsOf(config.topics.deadLetter)).get("retention.ms"), "-1");

  const again = await ensureTopics(kafka, config, { partitions: 9 });
  assert.deepEqual(
    again,
    created.map((state) => ({ ...state, created: false })),
  );
  const required = await withAdmin(kafka, stack.brokers, (admin) => requireTopics(admin, config));
  assert.deepEqual(required.get("events"), { partitions: 4, replicationFactor: 1 });
});

test("only what is missing is created", async () => {
  const config = newConfig();
  await withAdmin(kafka, stack.brokers, (admin) =>
    createTopics(admin, [{ topic: config.topics.status, numPartitions: 2, replicationFactor: 1 }]),
  );
  const states = await ensureTopics(kafka, config);
  assert.deepEqual(
    states.map(({ created, partitions }) => [created, partitions]),
    [
      [true, 6],
      [false, 2],
      [true, 6],
    ],
  );
});

test("more replicas than brokers is a matter of configuration", async () => {
  await assert.rejects(ensureTopics(kafka, newConfig(), { replicationFactor: 3 }), (error: unknown) => {
    assert.ok(error instanceof OptoutError);
    assert.equal(error.code, "configuration");
    assert.match(error.message, /--replication-factor/);
    return true;
  });
});

test("a healthy start logs nothing above info: topics, a producer, a new group", async () => {
  const lines: string[] = [];
  const logger = createLogger({ level: "info", format: "json" }, { write: (line) => lines.push(line) });
  const config = newConfig();
  const client = createKafka(config.kafka, logger);
  await ensureTopics(client, config, { partitions: 2 });
  const producer = createRecordProducer(client);
  await producer.connect();
  await producer.send([{ topic: config.topics.events, messages: [{ value: "a" }, { value: null }] }]);
  await producer.disconnect();
  const consumer = client.consumer({ groupId: config.kafka.groupId, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic: config.topics.events, fromBeginning: true });
  let seen = 0;
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachMessage: async () => {
        seen += 1;
        if (seen === 2) resolve();
      },
    });
  });
  await consumer.disconnect();
  assert.deepEqual(lines, []);
});

test("a dead letter comes back from Kafka as its record was, and with its reasons", async () => {
  const config = newConfig();
  await ensureTopics(kafka, config, { partitions: 1 });
  const producer = createRecordProducer(kafka);
  await producer.connect();
  const headers = {
    tag: [Buffer.from("a"), Buffer.from([0xff])],
    none: null,
    constructor: [Object, Buffer.from("c")],
  };
  const original = { topic: "t", partition: 3, offset: 42, key: Buffer.from([0, 255]), value: null, headers };
  const details = {
    reason: "refused_by_environment",
    detail: "refused",
    environment: "us-west",
    httpStatus: 422,
  };
  await producer.send([
    { topic: config.topics.deadLetter, messages: [deadLetterMessage(original, details)] },
  ]);
  await producer.disconnect();
  const [letter] = await withAdmin(kafka, stack.brokers, (admin) =>
    readTopic(kafka, admin, config.topics.deadLetter),
  );
  assert.deepEqual(letter?.key, original.key);
  assert.equal(letter?.value, null);
  const { tag, none, ...rest } = letter?.headers ?? {};
  assert.deepEqual(tag, headers.tag);
  assert.deepEqual(none, Buffer.alloc(0));
  assert.equal(String(rest["__connect.errors.offset"]), "42");
  assert.equal(String(rest["optout.environment"]), "us-west");
  assert.equal(String(rest["optout.http.status"]), "422");
});

test("a status record is Avro that the registry's own client decodes to the same values", async () => {
  const { topics, schemaRegistry } = newConfig();
  const encoder = createStatusEncoder({ registry: createRegistry(schemaRegistry), topic: topics.status });
  await encoder.prepare();
  const environment = {
    name: "eu",
    attempts: 1,
    httpStatus: 201,
    requestId: "r",
    acknowledgedAt: "2026-01-02T03:04:05.000Z",
  };
  const record: StatusRecord = {
    statusId: "t:0:4503599627370496",
    outcome: "delivered",
    eventId: null,
    phone: "+12125550123",
    source: "web",
    reason: null,
    detail: null,
    idempotencyKey: "t:0:1-2:0123456789abcdef",
    origin: {
      topic: "t",
      partition: 0,
      offset: 2 ** 52,
      timestamp: "2026-01-02T03:04:05.678Z",
    },
    environments: [
      { ...environment, outcome: "accepted" },
      {
        name: "us",
        outcome: "rejected",
        attempts: null,
        httpStatus: null,
        requestId: null,
        acknowledgedAt: null,
      },
    ],
    occurredAt: "2026-01-02T03:04:05+01:00",
    completedAt: "2026-01-02T03:04:06.000Z",
  };
  const encoded = encoder.encode(record) as Buffer;
  assert.ok(encoded.length < JSON.stringify(record).length / 2);
  const decoded = await new SchemaRegistry({ host: stack.registryUrl }).decode(encoded);
  assert.deepEqual(JSON.parse(JSON.stringify(decoded)), record);
});

test("schemas are registered once, under the topics' value subjects", async () => {
  const config = newConfig();
  const first = await registerSchemas(config);
  assert.deepEqual(
    first?.map(({ subject }) => subject),
    [`${config.topics.events}-value`, `${config.topics.status}-value`],
  );
  assert.deepEqual(await registerSchemas(config), first);
  assert.equal(await registerSchemas({ topics: config.topics }), null);
});

test("the command creates and registers, tells what it did, and can be repeated", async () => {
  const config = newConfig();
  await using first = runCli(["topics", "--partitions", "2"], { env: envOf(config) });
  assert.equal(await finished(first), 0, first.stderr());
  assert.match(first.stdout(), new RegExp(`${config.topics.events} +events +2 +1 +created`));
  assert.match(first.stdout(), new RegExp(`${config.topics.deadLetter} +dead letters +2 +1 +created`));
  assert.match(first.stdout(), new RegExp(`${config.topics.status}-value +\\d+`));
  assert.equal(first.stderr(), "");
  await using second = runCli(["topics"], { env: envOf(config) });
  assert.equal(await finished(second), 0, second.stderr());
  assert.match(second.stdout(), new RegExp(`${config.topics.events} +events +2 +1 +was there`));
});

test("the command fails with one message when no broker is there, and for a wrong option", async () => {
  await using absent = runCli(["topics"], { env: envOf(newConfig(), ["127.0.0.1:1"]) });
  assert.equal(await finished(absent), 1);
  assert.match(
    absent.stderr(),
    /^optout-relay: Can't reach Kafka at 127\.0\.0\.1:1: nothing listens there\..*\n$/,
  );
  assert.equal(absent.stdout(), "");
  await using wrong = runCli(["topics", "--partitions", "0"], { env: envOf(newConfig()) });
  assert.equal(await finished(wrong), 2);
});

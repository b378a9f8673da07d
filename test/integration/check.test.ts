import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import kafkajs from "kafkajs";
import { parseConfig } from "../../src/config/load.ts";
import type { ConfigInput } from "../../src/config/schema.ts";
import { ensureTopics } from "../../src/kafka/topics.ts";
import { registerSchemas } from "../../src/registry/subjects.ts";
import { createSimulator } from "../../src/simulator/index.ts";
import {
  type CheckInput,
  check,
  newInput as newInputFor,
  only,
  startSilence,
  troubles,
} from "../support/check.ts";
import { createTopics, testKafka } from "../support/kafka.ts";
import { finished, runCli } from "../support/process.ts";
import { releaseStack, sharedStack, startTestStack } from "../support/stack.ts";
import { waitFor } from "../support/wait.ts";

const stack = await sharedStack();
const kafka = testKafka(stack.brokers);
const admin = kafka.admin();
await admin.connect();
const silence = await startSilence();
const simulator = await createSimulator({ environments: ["production", "us-west"] });
const folder = await mkdtemp(join(tmpdir(), "optout-check-"));

after(async () => {
  silence.close();
  await simulator.close();
  await admin.disconnect();
  await releaseStack();
  await rm(folder, { recursive: true });
});

const AUTH = { clientId: "relay", clientSecret: "right-5ecret" };
const newInput = (): CheckInput =>
  newInputFor(stack.brokers, [
    { name: "production", baseUrl: simulator.baseUrl("production"), auth: { ...AUTH } },
    {
      ...{ name: "us-west", dialect: "admin-dnc-groups", tenantId: "t", groupId: 7 },
      ...{ baseUrl: simulator.baseUrl("us-west") },
      auth: { accessKeyId: "key", accessKeySecret: "right-5ecret" },
    },
  ]);

async function fileOf(input: CheckInput): Promise<string> {
  const file = join(folder, `${input.topics.events}.json`);
  await writeFile(file, JSON.stringify(input));
  return file;
}

type Settings = Record<string, string>;

/** The topics as `optout-relay topics` makes them, but for these settings of one. */
async function provideTopics(input: ConfigInput, topic?: string, settings: Settings = {}): Promise<void> {
  if (topic !== undefined) {
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    await createTopics(admin, [{ topic, numPartitions: 2, replicationFactor: 1, configEntries }]);
  }
  await ensureTopics(kafka, parseConfig(input), { partitions: 2 });
}

/** As another tool would, at offset 0 of partition 0; kafkajs' admin has no metadata for a commit. */
async function commitAs(groupId: string, topic: string, metadata: string): Promise<void> {
  const consumer = kafka.consumer({ groupId });
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    const joined = new Promise<void>((resolve) => void consumer.on("consumer.group_join", () => resolve()));
    await consumer.run({ autoCommit: false, eachBatch: async () => {} });
    await joined;
    await consumer.commitOffsets([{ topic, partition: 0, offset: "0", metadata }]);
  } finally {
    await consumer.disconnect();
  }
}

describe("check", { concurrency: 4 }, () => {
  test("finds nothing wrong where all is well, exits 0, and changes nothing", async () => {
    const input = { ...newInput(), schemaRegistry: { url: stack.registryUrl } };
    const file = await fileOf(input);
    await provideTopics(input);
    await registerSchemas(parseConfig(input));
    const before = await admin.fetchTopicOffsets(input.topics.events);
    await using cli = runCli(["check", "--config", file]);
    assert.equal(await finished(cli), 0, cli.stdout() + cli.stderr());
    assert.match(cli.stdout(), /\n\d+ ok, 0 warnings, 0 failed, 0 not checked\.\n$/);
    assert.doesNotMatch(cli.stdout(), /5ecret|> /);

    await using json = runCli(["check", "--json"], { env: { OPTOUT_CONFIG: file } });
    assert.equal(await finished(json), 0);
    const report: unknown = JSON.parse(json.stdout());
    assert.ok(typeof report === "object" && report !== null && "ok" in report && "findings" in report);
    assert.equal(report.ok, true);
    assert.deepEqual(await admin.fetchTopicOffsets(input.topics.events), before);
    for (const name of ["production", "us-west"]) assert.deepEqual(simulator.entries(name), []);
  });

  test("missing topics are named one by one, with the command that makes them; exit 1", async () => {
    const input = newInput();
    await using cli = runCli(["check", "-c", await fileOf(input)]);
    assert.equal(await finished(cli), 1);
    for (const topic of Object.values(input.topics)) {
      assert.match(cli.stdout(), new RegExp(`topic ${topic} +exists +failed`));
    }
    assert.match(cli.stdout(), /optout-relay topics/);
    assert.match(cli.stdout(), /0 warnings, 3 failed/);
  });

  test("Ctrl-C ends it while it waits", async () => {
    const input = newInput();
    input.kafka.brokers = [silence.address];
    await using cli = runCli(["check", "-c", await fileOf(input), "--timeout", "5m"]);
    await waitFor("it to begin", () => cli.stderr().includes("checking"));
    cli.kill("SIGINT");
    assert.equal(await finished(cli), 1);
    assert.match(cli.stderr(), /SIGINT came before all was checked/);
    assert.equal(cli.stdout(), "");
  });

  test("an address that the brokers advertise and that can't be reached fails, though the bootstrap broker is", async () => {
    await using astray = await startTestStack({
      registry: false,
      brokerConfig: { "advertised.listeners": "PLAINTEXT://127.0.0.1:9" },
    });
    const findings = await check({ ...newInput(), kafka: { brokers: astray.brokers } });
    const brokers = findings.filter(({ area }) => area === "broker");
    assert.deepEqual(
      brokers.map(({ name, result }) => [name, result]),
      [
        [astray.brokers[0], "ok"],
        ["127.0.0.1:9", "failed"],
      ],
    );
    assert.match(brokers[1]?.remedy ?? "", /advertised\.listeners/);
  });

  test("an invalid configuration is a finding too, as JSON", async () => {
    await using cli = runCli(["check", "--json"]);
    assert.equal(await finished(cli), 1);
    const report: unknown = JSON.parse(cli.stdout());
    assert.ok(typeof report === "object" && report !== null && "findings" in report);
    assert.ok(Array.isArray(report.findings));
    assert.match(JSON.stringify(report.findings), /"area":"configuration".*kafka is missing/);
  });

  for (const [what, role, settings, trouble, says] of [
    [
      "compaction of events",
      "events",
      { "cleanup.policy": "compact", "retention.ms": "-1" },
      "topic cleanup policy failed",
      /loses an opt-out/,
    ],
    [
      "compaction beside deletion",
      "events",
      { "cleanup.policy": "compact,delete", "retention.ms": "-1" },
      "topic cleanup policy failed",
      /loses/,
    ],
    ["a retention of hours", "events", { "retention.ms": "3600000" }, "topic retention failed", /^1 hour:/],
    [
      "Kafka's own retention",
      "events",
      { "retention.ms": "604800000" },
      "topic retention warning",
      /^7 days/,
    ],
    [
      "a bound on bytes",
      "events",
      { "retention.ms": "-1", "retention.bytes": "1048576" },
      "topic retention warning",
      /1048576 bytes/,
    ],
    [
      "a status topic of a year",
      "status",
      { "retention.ms": "31536000000" },
      "topic retention warning",
      /^365 days.*five years/,
    ],
    [
      "small dead letters",
      "deadLetter",
      { "retention.ms": "-1" },
      "topic message size warning",
      /without their value/,
    ],
    [
      "more copies asked for than there are",
      "status",
      { "retention.ms": "-1", "min.insync.replicas": "2" },
      "topic replicas failed",
      /can ever be written/,
    ],
  ] as const) {
    test(`${what} is found: ${trouble}`, async () => {
      const input = newInput();
      await provideTopics(input, input.topics[role], settings);
      const found = only(await check(input), trouble);
      assert.equal(found.name, input.topics[role]);
      assert.match(found.detail, says);
    });
  }

  test("too many partitions for a quota, with a short maxWait, are a warning; not where nobody knows their number", async () => {
    const input = { ...newInput(), batching: { maxWait: "10ms" } };
    await provideTopics(input);
    const findings = await check(input);
    assert.deepEqual(troubles(findings), ["configuration quota warning", "configuration quota warning"]);
    const [first] = findings.filter(({ result }) => result !== "ok");
    assert.match(
      first?.detail ?? "",
      /^2 partitions and .* 10ms make up to 200 requests\/s, and production /,
    );
    assert.deepEqual(first, findings[1], "beside the other finding of the configuration");
    const without = await check({ ...input, topics: { ...input.topics, events: "nowhere" } });
    assert.deepEqual(troubles(without), ["topic exists failed"]);
  });

  test("a single partition, a group of other readers and commits of another tool are found", async () => {
    const input = newInput();
    const { events } = input.topics;
    const configEntries = [{ name: "retention.ms", value: "-1" }];
    await createTopics(admin, [{ topic: events, numPartitions: 1, configEntries }]);
    await provideTopics(input);
    const groupId = input.kafka.groupId ?? "";
    await commitAs(groupId, events, "mine");
    const stranger = kafka.consumer({ groupId, maxWaitTimeInMs: 100 });
    try {
      await stranger.connect();
      await stranger.subscribe({ topic: input.topics.status });
      const joined = new Promise<void>((resolve) => void stranger.on("consumer.group_join", () => resolve()));
      await stranger.run({ eachMessage: async () => {} });
      await joined;
      const findings = await check(input);
      assert.deepEqual(troubles(findings), [
        "topic partitions warning",
        "group members failed",
        "group commits warning",
      ]);
      assert.match(findings.find(({ result }) => result === "failed")?.detail ?? "", /client ids: test/);
    } finally {
      await stranger.disconnect();
    }
  });

  test("one bootstrap broker of several that is away is a warning, all of them a failure, and the rest is not checked", async () => {
    const input = newInput();
    await provideTopics(input);
    input.kafka.brokers = ["127.0.0.1:9", ...stack.brokers, silence.address];
    const some = await check(input, 3_000);
    assert.deepEqual(troubles(some), ["broker connection warning", "broker connection warning"]);
    input.kafka.brokers = ["127.0.0.1:9", "127.0.0.1:1"];
    const none = await check(input);
    assert.deepEqual(troubles(none), [
      "broker connection failed",
      "broker connection failed",
      "cluster all not_checked",
      ...["topic", "topic", "topic", "group"].map((area) => `${area} all not_checked`),
    ]);
    assert.deepEqual(
      none.filter(({ area, result }) => area === "environment" && result !== "ok"),
      [],
      "the environments are checked all the same",
    );
  });

  test("permissions, room for the ledger and bounds of the session are found out without using them", async () => {
    await using guarded = await startTestStack({
      registry: false,
      brokerConfig: {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        "offset.metadata.max.bytes": "1024",
        "group.min.session.timeout.ms": "15000",
      },
    });
    const input = newInput();
    input.kafka = { ...input.kafka, brokers: [...guarded.brokers] };
    const client = testKafka(guarded.brokers);
    await ensureTopics(client, parseConfig(input), { partitions: 2 });
    const guardian = client.admin();
    await guardian.connect();
    try {
      const { AclResourceTypes, AclOperationTypes, AclPermissionTypes, ResourcePatternTypes } = kafkajs;
      const allow = (
        resourceName: string,
        principal: string,
        operation: number,
        type = AclResourceTypes.TOPIC,
      ) => ({
        ...{ resourceName, principal, operation, host: "*", resourceType: type },
        permissionType: AclPermissionTypes.ALLOW,
        resourcePatternType: ResourcePatternTypes.LITERAL,
      });
      const { events, status, deadLetter } = input.topics;
      await guardian.createAcls({
        acl: [
          allow(events, "User:ANONYMOUS", AclOperationTypes.READ),
          allow(status, "User:ANONYMOUS", AclOperationTypes.DESCRIBE),
          allow(deadLetter, "User:somebody", AclOperationTypes.ALL),
          allow(input.kafka.groupId ?? "", "User:somebody", AclOperationTypes.READ, AclResourceTypes.GROUP),
        ],
      });
      assert.deepEqual(troubles(await check(input)), [
        "cluster commit metadata failed",
        "cluster session timeout failed",
        "topic access warning",
        "topic settings not_checked",
        "topic access failed",
        "topic settings not_checked",
        "topic access failed",
        "group access failed",
      ]);
      input.kafka.brokers = [...stack.brokers, ...guarded.brokers];
      const mixed = (await check(input)).filter(
        ({ area, result }) => area === "broker" && result === "failed",
      );
      assert.equal(mixed.length, 1);
      assert.match(mixed[0]?.detail ?? "", /belongs to the cluster/);
    } finally {
      await guardian.disconnect();
    }
  });
});

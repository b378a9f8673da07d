import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { SchemaType } from "@kafkajs/confluent-schema-registry";
import type { Message } from "kafkajs";
import type { ConfigInput } from "../../src/config/schema.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { finished } from "../support/process.ts";
import { createRegistryProxy, type RegistryProxy } from "../support/registry-proxy.ts";
import {
  createScenario,
  optOut,
  optOuts,
  phoneOf,
  phones,
  type RelayProcess,
  type Scenario,
} from "../support/scenario.ts";
import { createSerializers, decodedStatuses } from "../support/serializers.ts";
import { releaseStack, sharedStack, startTestStack } from "../support/stack.ts";
import { assertOnEveryList } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

/** A producer of framed events, as any user of the registry's own library. */
async function createFramer(scenario: Scenario) {
  const serializers = await createSerializers(scenario);
  const eventId = await serializers.register(
    "event",
    SchemaType.AVRO,
    readPackageFile("schemas/opt-out-event.avsc"),
  );
  return {
    ...serializers,
    async avro(index: number, more: Record<string, unknown> = {}): Promise<Message> {
      const event = { phone: phoneOf(index), source: "ivr", eventId: `avro-${index}`, ...more };
      return { key: phoneOf(index), value: await serializers.encode(eventId, event) };
    },
  };
}

const through =
  (proxy: RegistryProxy, requestTimeout: string) =>
  (config: ConfigInput): void => {
    config.schemaRegistry = { url: proxy.url, requestTimeout };
  };

const rejected = async (relay: RelayProcess): Promise<number> => {
  const text = await (await fetch(`${relay.url}/metrics`)).text();
  const counts = [...text.matchAll(/^optout_events_rejected_total\{.*\} (\d+)$/gm)];
  assert.ok(counts.length > 0);
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
};

describe("events and statuses through a schema registry", () => {
  after(releaseStack);

  test("framed Avro, framed JSON and plain JSON are read from one topic, and statuses are Avro", async () => {
    await using scenario = await createScenario({
      partitions: 1,
      registry: true,
      batching: { maxEntries: 7, maxWait: "30s" },
    });
    const framer = await createFramer(scenario);
    const numbersId = await framer.register("number", SchemaType.AVRO, {
      type: "record",
      name: "Wish",
      fields: [
        { name: "phone", type: "long" },
        { name: "comment", type: ["null", "string"], default: null },
      ],
    });
    const jsonId = await framer.register("json", SchemaType.JSON, {
      type: "object",
      properties: { phone: { type: "string" } },
    });
    await scenario.startRelay();
    await scenario.produce([
      await framer.avro(0, { occurredAt: "2026-03-01T09:00:00Z" }),
      optOut(1),
      {
        key: "number",
        value: await framer.encode(numbersId, { phone: 12_125_550_123, comment: null }),
      },
      { key: "json", value: await framer.encode(jsonId, { phone: phoneOf(3) }) },
      ...(await Promise.all([4, 5, 6].map((index) => framer.avro(index)))),
    ]);
    await scenario.allSettled();
    assertOnEveryList(scenario, [...phones(0, 2), "+12125550123", ...phones(3, 7)]);

    const statuses = await decodedStatuses(scenario);
    assert.deepEqual(
      statuses.map(({ origin, outcome, source, eventId }) => [origin.offset, outcome, source, eventId]),
      [
        [0, "delivered", "ivr", "avro-0"],
        [1, "delivered", "web", "event-1"],
        [2, "delivered", "unknown", null],
        [3, "delivered", "unknown", null],
        ...[4, 5, 6].map((index) => [index, "delivered", "ivr", `avro-${index}`]),
      ],
    );
    const [first] = statuses;
    assert.equal(first?.statusId, `${scenario.config.topics.events}:0:0`);
    assert.equal(first?.phone, phoneOf(0));
    assert.equal(first?.occurredAt, "2026-03-01T09:00:00Z");
    assert.equal(first?.reason, null);
    assert.match(first?.idempotencyKey ?? "", /:0:0-6:[0-9a-f]{16}$/);
    assert.deepEqual(
      first?.environments.map(({ name, outcome, attempts, httpStatus }) => ({
        name,
        outcome,
        attempts,
        httpStatus,
      })),
      scenario.environments.map((name) => ({ name, outcome: "accepted", attempts: 1, httpStatus: 201 })),
    );
  });

  test("a record with an unknown schema id, or a payload that isn't of its schema, is rejected; the others go on", async () => {
    await using scenario = await createScenario({ partitions: 1, registry: true });
    const framer = await createFramer(scenario);
    const good = await framer.avro(0);
    const whole = Buffer.from(good.value ?? "");
    const unknown = Buffer.concat([Buffer.from([0, 0x7f, 0, 0, 1]), whole.subarray(5)]);
    await scenario.startRelay();
    await scenario.produce([
      { key: "unknown", value: unknown },
      good,
      { key: "cut", value: whole.subarray(0, 8) },
      { key: "unknown too", value: unknown },
      optOut(1),
    ]);
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 2));
    const statuses = await decodedStatuses(scenario);
    assert.deepEqual(
      statuses.map(({ outcome, reason }) => [outcome, reason]),
      [
        ["rejected", "unknown_schema"],
        ["delivered", null],
        ["rejected", "undecodable"],
        ["rejected", "unknown_schema"],
        ["delivered", null],
      ],
    );
    assert.match(statuses[0]?.detail ?? "", /schema id 2130706433, which the schema registry does not know/);
    const letters = await scenario.deadLetters();
    assert.deepEqual(
      letters.map(({ key, value }) => [String(key), value]),
      [
        ["unknown", unknown],
        ["cut", whole.subarray(0, 8)],
        ["unknown too", unknown],
      ],
    );
  });

  test("a registry that accepts the connection and never answers holds up its records alone, and loses none", async () => {
    await using scenario = await createScenario({ partitions: 2, registry: true, sessionTimeout: "3s" });
    const { registryUrl } = await sharedStack();
    await using proxy = await createRegistryProxy(registryUrl);
    const framer = await createFramer(scenario);
    const framed = await Promise.all([0, 1, 2].map((index) => framer.avro(index)));
    const relay = await scenario.startRelay({ change: through(proxy, "700ms") });
    const members = async () =>
      (await scenario.admin.describeGroups([scenario.config.kafka.groupId])).groups[0]?.members;
    const memberId = (await members())?.[0]?.memberId;
    assert.ok(memberId);

    await proxy.become("hangs");
    const hungSince = performance.now();
    await scenario.produce([
      ...framed.map((message) => ({ ...message, partition: 0 })),
      ...optOuts(10, 15).map((message) => ({ ...message, partition: 0 })),
      ...optOuts(20, 60).map((message) => ({ ...message, partition: 1 })),
    ]);
    await waitFor(
      "the other partition to settle",
      async () => (await scenario.committed()).get(1)?.offset === 40,
    );
    assertOnEveryList(scenario, phones(20, 60));
    // Longer than the session, with several requests in vain; and the other partition goes on all the time.
    for (let round = 0; performance.now() - hungSince < 7_000; round++) {
      await scenario.produce([{ ...optOut(100 + round), partition: 1 }]);
      const end = 41 + round;
      await waitFor("one more to settle", async () => (await scenario.committed()).get(1)?.offset === end);
    }
    assert.ok(proxy.hung >= 3, `${proxy.hung} requests hung`);
    assert.deepEqual(
      (await members())?.map((member) => member.memberId),
      [memberId],
      "members of the group",
    );
    assert.equal(relay.logs().filter(({ msg }) => msg === "partitions taken over").length, 1);
    assert.ok((await fetch(`${relay.url}/readyz`)).ok);
    assert.equal(await relay.metric("optout_partition_paused", '{partition="0"}'), 1);
    assert.ok(
      ((await scenario.committed()).get(0)?.offset ?? -1) <= 0,
      "nothing is behind the committed offset",
    );
    assert.equal(await rejected(relay), 0);

    await proxy.become("answers");
    await scenario.allSettled();
    assertOnEveryList(scenario, [...phones(0, 3), ...phones(10, 15)]);
    assert.equal(await rejected(relay), 0);
    assert.equal((await scenario.deadLetters()).length, 0);
    assert.equal(relay.logs().filter(({ msg }) => msg === "partitions taken over").length, 1);
  });

  test("a relay started while the registry is down, or hangs, waits unready and then does all its work", async () => {
    await using scenario = await createScenario({ partitions: 1, registry: true });
    const { registryUrl } = await sharedStack();
    await using proxy = await createRegistryProxy(registryUrl);
    const framer = await createFramer(scenario);
    await scenario.produce([await framer.avro(0), optOut(1)]);
    await proxy.become("down");
    const relay = await scenario.startRelay({ change: through(proxy, "300ms"), wait: false });
    await waitFor("the relay to say what it waits for", () =>
      relay.logs().some(({ msg }) => /registry/.test(msg)),
    );
    await proxy.become("hangs");
    await waitFor("the relay to try again", () => proxy.hung >= 2);
    const readiness = await fetch(`${relay.url}/readyz`);
    assert.equal(readiness.status, 503);
    assert.match(await readiness.text(), /starting/);
    assert.ok((await fetch(`${relay.url}/livez`)).ok);
    assert.ok(relay.running);
    for (const environment of scenario.environments)
      assert.deepEqual(scenario.simulator.requests(environment), []);
    assert.ok(((await scenario.committed()).get(0)?.offset ?? -1) <= 0);

    await proxy.become("answers");
    await waitFor("the relay to be ready", async () => (await fetch(`${relay.url}/readyz`)).ok);
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 2));
    assert.deepEqual(
      (await decodedStatuses(scenario)).map(({ outcome }) => outcome),
      ["delivered", "delivered"],
    );
  });

  test("a broker that goes away while the relay waits for the registry ends the start with one line that says so", async () => {
    await using stack = await startTestStack({ registry: false });
    await using scenario = await createScenario({ brokers: stack.brokers });
    await using proxy = await createRegistryProxy((await sharedStack()).registryUrl ?? "");
    await proxy.become("down");
    const relay = await scenario.startRelay({ change: through(proxy, "1s"), wait: false });
    await waitFor("the relay to wait", () =>
      relay.logs().some(({ msg }) => String(msg).startsWith("the schema registry doesn't answer")),
    );
    await stack.killBroker();
    await proxy.become("answers");
    assert.equal(await finished(relay), 1);
    assert.match(relay.stderr(), /^optout-relay: Can't reach Kafka at [^\n]*nothing listens there[^\n]*\n$/);
    await stack.startBroker();
  });
});

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import kafkajs from "kafkajs";
import { REJECT_REASONS } from "../../src/events/event.ts";
import { BAD, type BadRecord } from "../support/bad-records.ts";
import { registerCompressors } from "../support/compression.ts";
import { createBadRecords, createGoodRecords, type GoodRecord } from "../support/encoded-records.ts";
import { readTopic } from "../support/kafka.ts";
import { createRegistryProxy } from "../support/registry-proxy.ts";
import { createScenario, type Scenario } from "../support/scenario.ts";
import { createSerializers, decodedStatuses } from "../support/serializers.ts";
import { releaseStack, sharedStack } from "../support/stack.ts";
import { assertOnEveryList } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

const { CompressionTypes } = kafkajs;

const isGood = (record: GoodRecord | BadRecord): record is GoodRecord => "phone" in record;

/** Each record in a batch of its own, the batches compressed in turn in every way that Node 20 can write. */
async function produceInTurns(
  scenario: Scenario,
  records: readonly (GoodRecord | BadRecord)[],
): Promise<void> {
  const producer = scenario.kafka.producer();
  registerCompressors();
  const turns = [CompressionTypes.None, CompressionTypes.GZIP, CompressionTypes.Snappy, CompressionTypes.LZ4];
  await producer.connect();
  for (const [index, { what, value, headers = {} }] of records.entries()) {
    await producer.send({
      topic: scenario.config.topics.events,
      compression: turns[index % turns.length] ?? CompressionTypes.None,
      messages: [{ key: what, value, headers: { trace: Buffer.from([0, 255]), ...headers } }],
    });
  }
  await producer.disconnect();
}

describe("encodings", { concurrency: true }, () => {
  after(releaseStack);

  test("one topic of all encodings, with everything malformed between: each good one delivered, each bad one told and kept", async () => {
    await using scenario = await createScenario({ partitions: 1, registry: true, environments: ["a", "b"] });
    const serializers = await createSerializers(scenario);
    const good = await createGoodRecords(serializers, 0);
    const bad = [...BAD, ...(await createBadRecords(serializers))];
    const records = bad.flatMap((record, index) => [record, ...good.slice(index, index + 1)]);
    const relay = await scenario.startRelay();
    await produceInTurns(scenario, records);
    await scenario.allSettled();

    const statuses = await decodedStatuses(scenario);
    const letters = await scenario.deadLetters();
    const sent = await readTopic(scenario.kafka, scenario.admin, scenario.config.topics.events);
    assert.equal(statuses.length, records.length);
    assert.equal(letters.length, bad.length);
    for (const [offset, record] of records.entries()) {
      const status = statuses.find(({ origin }) => origin.offset === offset);
      if (isGood(record)) {
        const { outcome, phone, eventId, source, occurredAt } = status ?? {};
        assert.deepEqual(
          { outcome, phone, eventId, source, occurredAt },
          {
            outcome: "delivered",
            phone: record.phone,
            eventId: record.eventId ?? null,
            source: record.source ?? "unknown",
            occurredAt: record.occurredAt ?? null,
          },
          `${record.what}: ${status?.detail}`,
        );
        continue;
      }
      assert.deepEqual([status?.outcome, status?.reason], ["rejected", record.reason], record.what);
      assert.match(status?.detail ?? "", record.says, record.what);
      const letter = letters.find(({ key }) => String(key) === record.what);
      assert.deepEqual(letter?.value, sent[offset]?.value, `the value of ${record.what}`);
      for (const [name, value] of Object.entries(sent[offset]?.headers ?? {})) {
        assert.deepEqual(letter?.headers?.[name], value, `the header ${name} of ${record.what}`);
      }
      assert.equal(String(letter?.headers?.["optout.reason"]), record.reason);
    }
    assertOnEveryList(
      scenario,
      good.map(({ phone }) => phone),
    );
    for (const environment of scenario.environments) {
      assert.equal(scenario.simulator.entries(environment).length, good.length);
    }
    for (const reason of REJECT_REASONS) {
      const count = bad.filter((record) => record.reason === reason).length;
      assert.equal(await relay.metric("optout_events_rejected_total", `{reason="${reason}"}`), count, reason);
    }
    for (const [outcome, count] of [
      ["delivered", good.length],
      ["rejected", bad.length],
    ]) {
      assert.equal(await relay.metric("optout_events_completed_total", `{outcome="${outcome}"}`), count);
    }
    assert.equal(await relay.metric("optout_events_consumed_total", '{partition="0"}'), records.length);
  });

  test("while the registry is away, records that need it wait however they name their schema; none is rejected", async () => {
    await using scenario = await createScenario({ partitions: 1, registry: true, environments: ["a"] });
    const { registryUrl } = await sharedStack();
    await using proxy = await createRegistryProxy(registryUrl);
    const good = await createGoodRecords(await createSerializers(scenario), 100);
    const relay = await scenario.startRelay({
      change: (config) => {
        config.schemaRegistry = { url: proxy.url, requestTimeout: "300ms" };
      },
    });
    await proxy.become("hangs");
    // Rotated, so that the first one that waits has its schema's id in a header.
    const first = good.findIndex(({ what }) => what === "Avro, named by a header");
    const records = [...good.slice(first), ...good.slice(0, first)];
    await scenario.produce(records.map(({ what, value, headers = {} }) => ({ key: what, value, headers })));
    await waitFor("several requests to hang", () => proxy.hung >= 3);
    await proxy.become("down");
    assert.ok(((await scenario.committed()).get(0)?.offset ?? 0) <= 0);
    assert.deepEqual(scenario.simulator.entries("a"), []);
    await proxy.become("answers");
    await scenario.allSettled();
    assertOnEveryList(
      scenario,
      good.map(({ phone }) => phone),
    );
    assert.equal(await relay.metric("optout_events_completed_total", '{outcome="rejected"}'), 0);
    assert.equal((await scenario.deadLetters()).length, 0);
  });
});

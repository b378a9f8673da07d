import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Producer } from "kafkajs";
import { highWatermarks, readTopic } from "../../src/kafka/topic-reader.ts";
import { createScenario, optOuts, phones, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { assertOnEveryList } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

after(releaseStack);

async function transactional({ kafka, config }: Scenario, name: string): Promise<Producer> {
  const producer = kafka.producer({
    transactionalId: `${config.topics.events}-${name}`,
    maxInFlightRequests: 1,
    idempotent: true,
  });
  await producer.connect();
  return producer;
}

test("opt-outs of aborted transactions that overlapped are on no list, in whatever order they ended", async () => {
  await using scenario = await createScenario({ partitions: 1 });
  const { config, kafka } = scenario;
  const topic = config.topics.events;
  const producers = await Promise.all(["slow", "quick", "good"].map((name) => transactional(scenario, name)));
  const [slow, quick, good] = await Promise.all(producers.map((producer) => producer.transaction()));
  assert.ok(slow && quick && good);
  try {
    // The broker tells of aborted transactions in the order of their ends.
    await slow.send({ topic, messages: optOuts(0, 10) });
    await quick.send({ topic, messages: optOuts(10, 20) });
    await good.send({ topic, messages: optOuts(20, 30) });
    await slow.send({ topic, messages: optOuts(30, 40) });
    await quick.abort();
    await waitFor("the first transaction to have ended", async () => {
      const ends = await highWatermarks({ kafka, brokers: config.kafka.brokers, topic });
      return ends.get(0) === 41;
    });
    await slow.abort();
    await good.commit();
  } finally {
    for (const producer of producers) await producer.disconnect();
  }
  await scenario.produce(optOuts(40, 50));
  await scenario.startRelay();
  await scenario.allSettled();
  assertOnEveryList(scenario, [...phones(20, 30), ...phones(40, 50)]);
  for (const environment of scenario.environments) {
    assert.equal(scenario.simulator.entries(environment).length, 20, `entries of ${environment}`);
  }
  const offsets: number[] = [];
  for await (const { messages } of readTopic({ kafka, brokers: config.kafka.brokers, topic })) {
    offsets.push(...messages.map(({ offset }) => Number(offset)));
  }
  assert.equal(offsets.length, 20, "the same for those who read the topic without a group");
});

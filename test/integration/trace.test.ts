import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Message } from "kafkajs";
import type { ConfigInput } from "../../src/config/schema.ts";
import type { LedgerReport } from "../../src/inspect/ledger-report.ts";
import { createSchemas } from "../../src/inspect/schemas.ts";
import { readStatuses } from "../../src/inspect/statuses.ts";
import { type Trace, type TracedEnvironment, trace } from "../../src/inspect/trace.ts";
import { partitionOf } from "../../src/kafka/partitioner.ts";
import { finished, runCli } from "../support/process.ts";
import { createScenario, optOut, phoneOf, type Scenario } from "../support/scenario.ts";
import { releaseStack, sharedStack } from "../support/stack.ts";
import { waitFor } from "../support/wait.ts";

let folder: string;

/** A configuration file for commands that look at a scenario. */
async function configFile(
  { config, environments, simulator }: Scenario,
  more: Partial<ConfigInput> = {},
): Promise<string> {
  const file = join(folder, `${config.kafka.groupId}.json`);
  const input: ConfigInput = {
    kafka: { brokers: config.kafka.brokers, groupId: config.kafka.groupId },
    topics: config.topics,
    environments: environments.map((name) => ({
      ...{ name, baseUrl: simulator.baseUrl(name) },
      auth: { clientId: "relay", clientSecret: "relay-secret" },
    })),
    ...more,
  };
  await writeFile(file, JSON.stringify(input));
  return file;
}

async function run(...args: string[]): Promise<string> {
  const cli = runCli(args);
  assert.equal(await finished(cli), 0, cli.stderr());
  return cli.stdout();
}

const traced = async (phone: string, config: string, ...more: string[]): Promise<Trace> =>
  JSON.parse(await run("trace", phone, "--config", config, "--json", ...more));

const outcomes = (environments: readonly TracedEnvironment[] = []): string[] =>
  environments.map(({ name, outcome }) => `${name} ${outcome}`);

describe("trace and ledger", () => {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "optout-trace-"));
  });
  after(async () => {
    await rm(folder, { recursive: true, force: true });
    await releaseStack();
  });

  test("an opt-out is waiting, then accepted where the environment is up and pending where it isn't, then delivered", async () => {
    await using scenario = await createScenario();
    const {
      simulator,
      config: { topics },
    } = scenario;
    const file = await configFile(scenario);
    const phone = phoneOf(0);
    await scenario.produce([
      optOut(0, { phone: "(212) 200-0000", occurredAt: "2026-03-01T09:00:00Z" }),
      optOut(1),
      optOut(0, { source: "ivr", eventId: "call-2" }),
    ]);
    const waiting = await traced("212 200 0000", file);
    assert.equal(waiting.phone, phone);
    assert.deepEqual(
      waiting.events.map(({ state, outcome, eventId, source, occurredAt, idempotencyKey }) => [
        ...[state, outcome, eventId, source, occurredAt, idempotencyKey],
      ]),
      [
        ["waiting", null, "event-0", "web", "2026-03-01T09:00:00Z", null],
        ["waiting", null, "call-2", "ivr", null, null],
      ],
    );
    const nowhere = ["production pending", "us-west pending", "eu-central pending"];
    assert.deepEqual(outcomes(waiting.events[0]?.environments), nowhere);
    assert.deepEqual(waiting.read.pending, {
      ...{ topic: topics.events, records: 3, withoutPhone: 0, withoutSchema: 0, behindTransaction: [] },
    });

    simulator.setFaults("us-west", { outage: "503" });
    await scenario.startRelay();
    await waitFor("two acknowledgements of every event to be in the ledger", async () => {
      const batches = [...(await scenario.committed()).values()].flatMap(({ ledger }) => ledger);
      return (
        batches.reduce((sum, { first, last }) => sum + last - first + 1, 0) === 3 &&
        batches.every(({ acknowledged }) => acknowledged[0] && acknowledged[2])
      );
    });
    const ledger: LedgerReport = JSON.parse(await run("ledger", "--config", file, "--json"));
    const truth = await scenario.committed();
    assert.deepEqual(
      ledger.partitions.map(({ partition, committedOffset, endOffset, lag, lost, batches, problem }) => [
        ...[partition, committedOffset, endOffset, lag, lost, batches, problem],
      ]),
      [0, 1].map((partition) => {
        const batches = truth.get(partition)?.ledger ?? [];
        const end = (batches.at(-1)?.last ?? -1) + 1;
        const expected = batches.map(({ first, last }) => ({
          ...{ first, last, settled: false, acknowledged: ["production", "eu-central"], split: [] },
          pending: ["us-west"],
        }));
        return [partition, truth.get(partition)?.offset, end, end, 0, expected, null];
      }),
    );
    const sealed = await traced(phone, file);
    const partial = ["production accepted", "us-west pending", "eu-central accepted"];
    assert.deepEqual(
      sealed.events.map(({ environments }) => outcomes(environments)),
      [partial, partial],
    );
    assert.deepEqual(new Set(sealed.events.map(({ state }) => state)), new Set(["sealed"]));
    const text = await run("trace", phone, "--config", file);
    assert.match(text, /outcome {3}pending: waits for us-west\n/);

    simulator.setFaults("us-west", {});
    await scenario.allSettled();
    const delivered = await traced(phone, file);
    const statuses = (await scenario.statuses()).filter((status) => status.phone === phone);
    assert.deepEqual(
      delivered.events,
      statuses
        .sort((a, b) => a.origin.offset - b.origin.offset)
        .map(({ phone: _, ...status }) => ({ ...status, state: "settled", redriven: null })),
    );
    // The key was there before any of it was settled.
    assert.deepEqual(
      delivered.events.map(({ idempotencyKey }) => idempotencyKey),
      sealed.events.map(({ idempotencyKey }) => idempotencyKey),
    );
    const first = delivered.events
      .flatMap(({ environments }) => environments)
      .filter(({ name }) => name === "us-west")
      .map(({ acknowledgedAt }) => acknowledgedAt ?? "")
      .sort()[0];
    assert.deepEqual(delivered.environments[1], {
      ...{ name: "us-west", accepted: 2, rejected: 0, pending: 0, unknown: 0 },
      acceptedBy: first,
    });
    assert.deepEqual(delivered.read.status.partitions, [partitionOf(phone, 2)]);
    assert.equal(delivered.read.status.because, "key");
    const settled: LedgerReport = JSON.parse(await run("ledger", "--config", file, "--json"));
    assert.deepEqual(
      settled.partitions.flatMap(({ batches }) => batches),
      [],
    );
    assert.deepEqual(
      settled.partitions.map(({ lag }) => lag),
      [0, 0],
    );
  });

  test("refusals are told with their reason, and a number that nobody knows is no failure", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    const { simulator, environments } = scenario;
    const file = await configFile(scenario);
    const [some, all] = [phoneOf(0), phoneOf(1)];
    for (const name of environments) simulator.setFaults(name, { rejectPhones: [all] });
    simulator.setFaults("us-west", { rejectPhones: [some, all] });
    await scenario.startRelay();
    await scenario.produce([optOut(0), optOut(1), { key: phoneOf(2), value: "garbage" }]);
    await scenario.allSettled();
    const [partial, none, unknown] = await Promise.all([
      traced(some, file),
      traced(all, file),
      traced(phoneOf(2), file),
    ]);
    const [event] = partial.events;
    assert.deepEqual(
      [event?.outcome, event?.reason, event?.detail],
      ["partially_delivered", "refused_by_environment", "refused by us-west (HTTP 422)"],
    );
    assert.deepEqual(outcomes(event?.environments), [
      ...["production accepted", "us-west rejected", "eu-central accepted"],
    ]);
    assert.equal(none.events[0]?.outcome, "rejected");
    assert.deepEqual(
      none.environments.map(({ rejected, acceptedBy }) => [rejected, acceptedBy]),
      environments.map(() => [1, null]),
    );
    // Keyed by the number, but it tells of none.
    assert.deepEqual(
      unknown.events.map(({ reason }) => reason),
      ["undecodable"],
    );
    assert.match(
      await run("trace", phoneOf(7), "--config", file),
      new RegExp(`^Nothing is known of \\${phoneOf(7)}: `),
    );
  });

  test("statuses in Avro and JSON, repeated ones, and those of a time with fewer partitions are all found", async () => {
    await using scenario = await createScenario({ partitions: 1, environments: ["production"] });
    const { registryUrl } = await sharedStack();
    const schemaRegistry = { url: registryUrl };
    const { status } = scenario.config.topics;
    const file = await configFile(scenario, { schemaRegistry });
    const settle = async (change?: (config: ConfigInput) => void): Promise<void> => {
      const relay = await scenario.startRelay(change === undefined ? {} : { change });
      await scenario.produce([optOut(0), optOut(1), optOut(2), optOut(3)]);
      await scenario.allSettled();
      relay.kill("SIGTERM");
      await relay.exit;
    };
    await settle();
    const [json] = await scenario.statuses();
    assert.ok(json);
    const { completedAt: _, ...repeated } = json;
    const later = { ...repeated, completedAt: "2030-01-01T00:00:00.000Z" };
    await scenario.producer.send([
      { topic: status, messages: [{ key: json.phone, value: JSON.stringify(later) }] },
      { topic: status, messages: [{ key: json.phone, value: "{" }] },
    ]);
    await settle((config) => {
      config.schemaRegistry = schemaRegistry;
    });
    await scenario.admin.createPartitions({ topicPartitions: [{ topic: status, count: 4 }] });
    for (const index of [0, 1, 2, 3]) {
      const { events, read } = await waitFor("the new partitions to be known", async () => {
        const found = await traced(phoneOf(index), file);
        return found.read.status.partitionsInAll === 4 && found;
      });
      assert.deepEqual(
        events.map(({ outcome }) => outcome),
        ["delivered", "delivered"],
        `number ${index}`,
      );
      assert.equal(read.status.because, "moved");
      assert.deepEqual(read.status.partitions, [0, 1, 2, 3]);
      if (index > 0) continue;
      assert.equal(events[0]?.completedAt, json.completedAt, "the first of two records with one statusId");
      const [unreadable] = read.status.unreadable;
      assert.deepEqual(unreadable, {
        ...{ partition: 0, offset: 5 },
        detail: "not valid JSON: see the character at position 1",
      });
    }
  });

  test("what an open transaction hides is told of, and found once that has ended", async () => {
    await using scenario = await createScenario({ partitions: 1, environments: ["production"] });
    const { kafka, config } = scenario;
    const file = await configFile(scenario);
    const producer = kafka.producer({
      transactionalId: config.topics.events,
      // Longer than the commands take on a busy machine: the broker would end the transaction.
      transactionTimeout: 10 * 60_000,
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    const transaction = await producer.transaction();
    await transaction.send({ topic: config.topics.events, messages: [{ value: "open" }] });
    await scenario.produce([optOut(3)]);
    const hidden = await traced(phoneOf(3), file);
    const ledger: LedgerReport = JSON.parse(await run("ledger", "--config", file, "--json"));
    const text = await run("trace", phoneOf(3), "--config", file);
    await transaction.abort();
    await producer.disconnect();
    assert.deepEqual(hidden.events, []);
    assert.deepEqual(hidden.read.pending.behindTransaction, [{ partition: 0, records: 2 }]);
    assert.match(text, /^Nothing was found of /);
    assert.match(text, /^2 records wait behind an open transaction in partition 0 /m);
    assert.deepEqual(
      ledger.partitions.map(({ endOffset, lag, behindTransaction }) => [endOffset, lag, behindTransaction]),
      [[2, 2, 2]],
    );
    const found = await traced(phoneOf(3), file);
    assert.equal(found.events.length, 1);
    assert.deepEqual(found.read.pending.behindTransaction, []);
  });

  test("with the registry down, what needs no schema is shown, and what isn't is named", async () => {
    await using scenario = await createScenario({ partitions: 1, environments: ["production"] });
    const { kafka, producer, config: given } = scenario;
    const schemaRegistry = { url: "http://127.0.0.1:9", requestTimeout: 1_000 };
    const config = { ...given, schemaRegistry };
    const framed = Buffer.from([0, 0, 0, 0, 7, 1]);
    await scenario.produce([optOut(3), { key: phoneOf(3), value: framed }]);
    await producer.send([{ topic: config.topics.status, messages: [{ key: phoneOf(3), value: framed }] }]);
    const query = { phone: phoneOf(3), since: undefined, allPartitions: false };
    const found = await trace(query, { kafka, config, registryPatience: 300, progress() {} });
    assert.deepEqual(
      found.events.map(({ eventId, state }) => [eventId, state]),
      [["event-3", "waiting"]],
    );
    assert.equal(found.read.pending.withoutSchema, 1);
    assert.deepEqual(found.read.status.unreadable, [
      {
        ...{ partition: 0, offset: 0 },
        detail: "its schema can't be had, since the schema registry gives no answer",
      },
    ]);
    assert.match(found.read.problem ?? "", /^The schema registry at http:\/\/127\.0\.0\.1:9 /);
  });

  test("statuses older than asked for are left out, but those of events that are pending still", async () => {
    await using scenario = await createScenario({ partitions: 1, environments: ["production"] });
    const { kafka, producer, config } = scenario;
    const hour = 3_600_000;
    const now = Date.now();
    const statusAt = (offset: number, at: number): Message => {
      const origin = { topic: "events", partition: 0, offset, timestamp: new Date(at).toISOString() };
      const status = {
        ...{ statusId: `events:0:${offset}`, outcome: "delivered", eventId: null, phone: phoneOf(3) },
        ...{ source: "web", reason: null, detail: null, idempotencyKey: "key", occurredAt: null },
        ...{ origin, environments: [], completedAt: origin.timestamp },
      };
      return { key: phoneOf(3), value: JSON.stringify(status), timestamp: String(at) };
    };
    const messages = [1, 2, 3].map((offset) => statusAt(offset, now - (4 - offset) * hour));
    // The same offset in a topic that was made anew.
    await producer.send([{ topic: config.topics.status, messages: [...messages, statusAt(3, now)] }]);
    const schemas = createSchemas({});
    const anyway = { statusIds: new Set(["events:0:1"]), from: now - 4 * hour };
    const query = { phone: phoneOf(3), partitions: 1, allPartitions: false, anyway };
    const read = async (since: number | undefined) => {
      const { statuses } = await readStatuses({ ...query, since }, schemas, { kafka, config, progress() {} });
      return statuses.map(({ origin }) => origin.offset);
    };
    assert.deepEqual(await read(now - 1.5 * hour), [1, 3, 3]);
    assert.deepEqual(await read(undefined), [1, 2, 3, 3]);
  });

  test("what can't be looked up is explained, with the exit code of its kind", async () => {
    await using scenario = await createScenario({ partitions: 1, environments: ["production"] });
    const file = await configFile(scenario);
    const failing = async (...args: string[]): Promise<[number | null, string]> => {
      const cli = runCli(args);
      return [await finished(cli), cli.stderr()];
    };
    const [usage, usageText] = await failing("trace", "555-0123", "--config", file);
    assert.equal(usage, 2);
    assert.match(usageText, /The phone "\*\*\*-\*\*23" can't be traced: .*--region US/);
    const [partition, partitionText] = await failing("ledger", "--config", file, "--partition", "9");
    assert.equal(partition, 2);
    assert.match(partitionText, /has no partition 9: they are 0 to 0/);
    const topics = { ...scenario.config.topics, status: "nowhere" };
    const missing = await configFile(scenario, { topics });
    const [code, text] = await failing("trace", phoneOf(0), "--config", missing);
    assert.equal(code, 1);
    assert.match(text, /has no topic "nowhere" \(topics.status\).*`optout-relay topics`/);
  });
});

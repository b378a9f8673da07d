import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import kafkajs, { type IHeaders, type Message } from "kafkajs";
import { readRedriven } from "../../src/redrive/headers.ts";
import { planRedrive } from "../../src/redrive/planning.ts";
import type { RedriveReport } from "../../src/redrive/report.ts";
import { sendEvents } from "../../src/redrive/sending.ts";
import { bareDeadLetter, deadLetterMessage } from "../../src/results/dead-letter.ts";
import { commandEnv } from "../support/command-env.ts";
import { endOffsets, readTopic, type TopicRecord } from "../support/kafka.ts";
import { finished, runCli } from "../support/process.ts";
import { createScenario, optOut, phoneOf, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { assertOnEveryList, assertOneBodyPerKey } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

async function run({ config }: Scenario, ...args: string[]) {
  await using cli = runCli(["redrive", ...args], { env: commandEnv(config) });
  const code = await finished(cli);
  return { code, stdout: cli.stdout(), stderr: cli.stderr() };
}

/** Work that takes longer than two seconds says where it is, and nothing else is said. */
const assertProgress = (stderr: string): void =>
  assert.match(stderr, /^([a-z ]+ [\w-]+: \d+ of \d+ \(\d+ %\)\n)*$/);

/** Sends, or with `--dry-run` among the arguments would have. */
async function redrive(
  scenario: Scenario,
  ...args: string[]
): Promise<RedriveReport & { code: number | null }> {
  const { code, stdout, stderr } = await run(scenario, "--yes", "--json", ...args);
  assertProgress(stderr);
  return { ...JSON.parse(stdout), code };
}

const idOf = ({ config }: Scenario, offset: number): string => `${config.topics.events}:0:${offset}`;
const eventsOf = (scenario: Scenario) =>
  readTopic(scenario.kafka, scenario.admin, scenario.config.topics.events);
const ids = ({ events }: RedriveReport): string[] => events.map(({ statusId }) => statusId);

const ofProducer = (headers: IHeaders = {}) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith("optout.redriven.")));

/** What a redriven record says of itself but for the time, which is checked. */
function originOf({ headers }: { headers?: IHeaders | undefined }) {
  const { at, ...rest } = readRedriven(headers) ?? assert.fail("not redriven");
  assert.match(at, RFC_3339);
  return rest;
}

/** Puts dead letters on their topic as a relay would, of events that never were. */
async function deadLetters({ producer, config }: Scenario, messages: Message[]): Promise<void> {
  await producer.send([{ topic: config.topics.deadLetter, messages }]);
}

const invalid = (
  { config }: Scenario,
  offset: number,
  value: string,
  topic = config.topics.events,
  partition = 0,
): Message =>
  deadLetterMessage(
    {
      topic,
      partition,
      offset,
      key: Buffer.from(`key-${offset}`),
      value: Buffer.from(value),
      headers: {},
    },
    { reason: "invalid_phone", detail: "too short" },
  );

describe("redrive", { concurrency: 3 }, () => {
  after(releaseStack);

  test("events rejected for their region are delivered once it is configured, and redriven only once", async () => {
    await using scenario = await createScenario({ partitions: 1, environments: ["production"] });
    const headers = { trace: Buffer.from([0, 255]), tag: ["a", "b"] };
    const sent = {
      key: Buffer.from([0, 1, 254]),
      value: JSON.stringify({ phone: "020 7946 0958" }),
      headers,
    };
    const american = await scenario.startRelay();
    await scenario.produce([optOut(0), sent]);
    await scenario.allSettled();
    american.kill("SIGTERM");
    await american.exit;

    const first = await redrive(scenario, "--reason", "invalid_phone");
    assert.deepEqual([first.code, first.sent, ids(first)], [0, 1, [idOf(scenario, 1)]]);
    const unsettled = await redrive(scenario, "--reason", "invalid_phone");
    assert.deepEqual([unsettled.code, unsettled.sent, unsettled.alreadyRedriven], [0, 0, 1]);
    const [, before, again, ...more] = await eventsOf(scenario);
    assert.deepEqual(more, []);
    assert.deepEqual(again?.key, before?.key);
    assert.deepEqual(again?.value, before?.value);
    assert.deepEqual(ofProducer(again?.headers), before?.headers);
    const origin = { origin: idOf(scenario, 1), from: idOf(scenario, 1), count: 1 };
    assert.deepEqual(originOf(again ?? assert.fail()), origin);

    await scenario.startRelay({
      change: (config) => Object.assign(config, { normalization: { defaultRegion: "GB" } }),
    });
    await scenario.allSettled();
    assertOnEveryList(scenario, [phoneOf(0), "+442079460958"]);
    const statuses = await readTopic(scenario.kafka, scenario.admin, scenario.config.topics.status);
    const [settled] = statuses.filter(({ headers: own }) => readRedriven(own) !== undefined);
    assert.deepEqual(originOf(settled ?? assert.fail("a status with its origin")), origin);
    const { statusId, outcome } = JSON.parse(String(settled?.value));
    assert.deepEqual([statusId, outcome], [idOf(scenario, 2), "delivered"]);
    assert.equal(statuses.length, 3);
    assert.equal((await scenario.deadLetters()).length, 1);

    const after = await redrive(scenario, "--reason", "invalid_phone");
    assert.deepEqual([after.code, after.sent, after.alreadyRedriven], [0, 0, 1]);
    const forced = await redrive(scenario, "--all", "--again");
    assert.deepEqual([forced.code, forced.sent], [0, 1]);
  });

  test("an event that environments refused goes back once, round after round, until all of them take it", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    const { simulator } = scenario;
    simulator.setFaults("us-west", { rejectPhones: [phoneOf(1), phoneOf(2)] });
    simulator.setFaults("eu-central", { rejectPhones: [phoneOf(2)] });
    await scenario.startRelay();
    await scenario.produce([optOut(0), optOut(1), optOut(2), { key: null, value: "garbage" }]);
    await scenario.allSettled();
    assert.equal((await scenario.deadLetters()).length, 4);

    const dry = async (...args: string[]) => {
      const report = await redrive(scenario, "--dry-run", ...args);
      assert.deepEqual([report.code, report.dryRun, report.sent], [0, true, 0]);
      return ids(report).map((id) => Number(id.split(":").at(-1)));
    };
    assert.deepEqual((await dry()).sort(), [1, 2, 3]);
    assert.deepEqual(await dry("--environment", "eu-central"), [2]);
    assert.deepEqual(
      await dry("--environment", "us-west", "--environment", "eu-central", "--since", "1h"),
      [1, 2],
    );
    assert.deepEqual(await dry("--reason", "undecodable", "--until", new Date().toISOString()), [3]);
    assert.deepEqual(await dry("--environment", "production"), []);
    assert.deepEqual(await dry("--until", "1h"), []);
    assert.deepEqual((await dry("--limit", "1")).length, 1);
    assert.equal((await eventsOf(scenario)).length, 4, "a dry run sends nothing");

    simulator.setFaults("us-west", { rejectPhones: [phoneOf(2)] });
    const first = await redrive(scenario, "--reason", "refused_by_environment");
    assert.deepEqual([first.code, first.sent, first.matching], [0, 2, { deadLetters: 3, events: 2 }]);
    const refused = (environment: string, events: number) => ({
      reason: "refused_by_environment",
      environment,
      events,
    });
    assert.deepEqual(first.byReason, [refused("eu-central", 1), refused("us-west", 2)]);
    await scenario.allSettled();
    const letters = await scenario.deadLetters();
    assert.equal(letters.length, 6, "the second one is refused by two environments again");
    const origin = { origin: idOf(scenario, 2), from: idOf(scenario, 2), count: 1 };
    for (const letter of letters.slice(4)) assert.deepEqual(originOf(letter), origin);

    simulator.setFaults("us-west", {});
    simulator.setFaults("eu-central", {});
    const second = await redrive(scenario, "--environment", "us-west");
    assert.deepEqual([second.code, second.sent, second.alreadyRedriven], [0, 1, 2]);
    assert.deepEqual(
      second.events.map(({ origin: from, redriven, refusals }) => [from, redriven, refusals.length]),
      [[idOf(scenario, 2), 1, 1]],
    );
    await scenario.allSettled();
    assertOnEveryList(scenario, [phoneOf(0), phoneOf(1), phoneOf(2)]);
    assertOneBodyPerKey(scenario);
    const last = (await eventsOf(scenario)).at(-1) ?? assert.fail();
    assert.equal(originOf(last).origin, idOf(scenario, 2));
    assert.equal(originOf(last).count, 2);
    const outcomes = new Map((await scenario.statuses()).map(({ statusId, outcome }) => [statusId, outcome]));
    assert.equal(outcomes.get(idOf(scenario, Number(last.offset))), "delivered");
    const none = await redrive(scenario, "--reason", "refused_by_environment");
    assert.deepEqual([none.code, none.sent, none.alreadyRedriven], [0, 0, 3]);
  });

  test("a redrive that is stopped midway goes on where it was, and sends nothing twice", async () => {
    await using scenario = await createScenario({ partitions: 2 });
    const { kafka, config } = scenario;
    const total = 6_000;
    const value = JSON.stringify({ phone: "1", note: "x".repeat(1_000) });
    await deadLetters(
      scenario,
      Array.from({ length: total }, (_, offset) => invalid(scenario, offset, value)),
    );
    const stopping = new AbortController();
    const context = { kafka, config, signal: stopping.signal, progress: () => {} };
    const request = {
      selection: { reasons: [], environments: [] },
      limit: Number.POSITIVE_INFINITY,
      again: false,
    };
    const plan = await planRedrive(request, context);
    assert.equal(plan.events.length, total);
    const stopAtFirst = () => stopping.abort(new Error("stopped"));
    const stopped = await sendEvents(plan.events, { ...context, progress: stopAtFirst }, Date.now);
    assert.equal(stopped.failure, undefined);
    assert.ok(stopped.sent.size > 0 && stopped.sent.size < total, `${stopped.sent.size} sent`);
    assert.equal((await eventsOf(scenario)).length, stopped.sent.size);

    const rest = await redrive(scenario, "--all");
    assert.deepEqual(
      [rest.code, rest.sent, rest.alreadyRedriven],
      [0, total - stopped.sent.size, stopped.sent.size],
    );
    const records = await eventsOf(scenario);
    assert.equal(records.length, total);
    assert.equal(new Set(records.map((record) => originOf(record).from)).size, total);
    assert.ok(
      records.every(({ partition }) => partition === 0),
      "each in the partition it was in",
    );
    assert.ok(records.every((record) => String(record.value) === value));
  });

  test("one event that its topic refuses has no other one sent twice: over partitions, and behind full requests", async () => {
    await using scenario = await createScenario({ partitions: 2, environments: ["production"] });
    const { admin, config } = scenario;
    const setLimit = (name: string, value: string) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: kafkajs.ConfigResourceTypes.TOPIC,
            name,
            configEntries: [{ name: "max.message.bytes", value }],
          },
        ],
      });
    await setLimit(config.topics.deadLetter, "3000000");
    await setLimit(config.topics.events, "900000");
    const count = 200;
    const tooLarge = [150, 199];
    await deadLetters(
      scenario,
      Array.from({ length: count }, (_, offset) => {
        const value = tooLarge.includes(offset) ? "x".repeat(900_000) : "y".repeat(9_000);
        return invalid(scenario, offset, value, config.topics.events, offset % 3 === 0 ? 1 : 0);
      }),
    );
    const report = await redrive(scenario, "--all");
    const records = await eventsOf(scenario);
    const sent = records.map((record) => originOf(record).from);
    assert.equal(new Set(sent).size, sent.length);
    assert.deepEqual([report.code, report.sent, report.refused.length], [1, count - 2, 2]);
    assert.equal(sent.length, count - 2);
  });

  test("what was sent is recognised behind somebody's open transaction, too", async () => {
    await using scenario = await createScenario({ partitions: 1, environments: ["production"] });
    const { kafka, config } = scenario;
    const other = kafka.producer({
      transactionalId: config.topics.events,
      // Longer than two redrives take on a busy machine: the broker would end the transaction.
      transactionTimeout: 10 * 60_000,
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await other.connect();
    const transaction = await other.transaction();
    await transaction.send({ topic: config.topics.events, messages: [{ value: "open" }] });
    await deadLetters(scenario, [invalid(scenario, 100, "a"), invalid(scenario, 101, "b")]);
    const first = await redrive(scenario, "--all");
    const second = await redrive(scenario, "--all");
    await transaction.abort();
    await other.disconnect();
    // The coordinator answers before it has written the marker that ends the transaction in the topic. Until then readers
    // of committed records see nothing from "open" on. Here: that, two redriven events, and the marker.
    await waitFor("the transaction to end in the topic", async () => {
      return (await endOffsets(scenario.admin, config.topics.events)).get(0) === 4;
    });
    assert.deepEqual([first.code, first.sent, first.alreadyRedriven], [0, 2, 0]);
    assert.deepEqual([second.code, second.sent, second.alreadyRedriven], [0, 0, 2]);
    assert.equal((await eventsOf(scenario)).length, 2);
  });

  test("what can't be sent is named and fails the command, and the rest is sent", async () => {
    await using scenario = await createScenario({ partitions: 1, environments: ["production"] });
    const { admin, config } = scenario;
    const bare = bareDeadLetter(invalid(scenario, 1, "lost")) ?? assert.fail();
    await deadLetters(scenario, [
      invalid(scenario, 0, "small"),
      bare,
      invalid(scenario, 2, "x".repeat(1_900)),
      invalid(scenario, 3, "of another topic", "other"),
      { key: "no dead letter", value: "at all" },
    ]);
    await admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: kafkajs.ConfigResourceTypes.TOPIC,
          name: config.topics.events,
          configEntries: [{ name: "max.message.bytes", value: "2000" }],
        },
      ],
    });
    const report = await redrive(scenario, "--all");
    assert.deepEqual(
      [report.code, report.sent, report.incomplete, report.refused, report.foreign],
      [1, 1, [idOf(scenario, 1)], [idOf(scenario, 2)], 2],
    );
    assert.deepEqual(
      report.events.map(({ statusId, sent }) => [statusId, sent]),
      [
        [idOf(scenario, 0), true],
        [idOf(scenario, 2), false],
      ],
    );
    const records: TopicRecord[] = await eventsOf(scenario);
    assert.deepEqual(
      records.map(({ key, value }) => [String(key), String(value)]),
      [["key-0", "small"]],
    );

    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: config.topics.events, configEntries: [] }],
    });
    const text = await run(scenario, "--all", "--yes");
    assert.equal(text.code, 1);
    assertProgress(text.stderr);
    assert.match(text.stdout, /^1 event to send to events-/);
    assert.match(text.stdout, /^1 event can't be sent again: .*:0:1$/m);
    assert.match(text.stdout, /^1 of 1 event sent to events-/m);
    const skipping = await run(scenario, "--all", "--yes", "--skip-incomplete");
    assert.equal(skipping.code, 0, skipping.stdout);
    assert.match(skipping.stdout, /^Nothing to send: .*redriven before/);
  });

  test("wrong usage is told with what there is, before anything is sent", async () => {
    await using scenario = await createScenario({ partitions: 1, environments: ["production", "us-west"] });
    const gone = deadLetterMessage(
      { topic: scenario.config.topics.events, partition: 0, offset: 0, key: null, value: Buffer.from("x") },
      { reason: "refused_by_environment", detail: "refused", environment: "old-one" },
    );
    await deadLetters(scenario, [gone]);
    for (const [args, says] of [
      [["--yes"], /Say which dead letters: --reason, .*or --all/],
      [["--all"], /Nobody can be asked here .*--yes/],
      [["--reason", "nope", "--yes"], /'nope' is invalid\. It must be one of empty_value, undecodable, /],
      [["--environment", "us-wets", "--yes"], /"us-wets"\. There are: old-one, production, us-west\.\n$/],
      [["--since", "1h", "--until", "2h", "--yes"], /is after --until/],
      [["--since", "soon", "--yes"], /'soon' is invalid\. It must be a time such as/],
      [["--limit", "0", "--all", "--yes"], /whole number from 1/],
    ] as const) {
      const { code, stdout, stderr } = await run(scenario, ...args);
      assert.deepEqual([code, stdout], [2, ""], args.join(" "));
      assert.match(stderr, says);
    }
    assert.deepEqual(await eventsOf(scenario), []);
    const known = await redrive(scenario, "--environment", "old-one", "--dry-run");
    assert.deepEqual([known.code, ids(known)], [0, [idOf(scenario, 0)]]);
  });
});

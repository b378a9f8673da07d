import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import { type OptOut, optOutOf } from "../../src/evidence/opt-out.ts";
import type { ReportHead, ReportRead } from "../../src/evidence/report.ts";
import type { Summary } from "../../src/evidence/summary.ts";
import type { StatusRecord } from "../../src/results/status.ts";
import { readTopic } from "../support/kafka.ts";
import { finished, runCli } from "../support/process.ts";
import { createScenario, optOut, optOuts, phoneOf, type Scenario } from "../support/scenario.ts";
import { releaseStack, sharedStack } from "../support/stack.ts";
import { waitFor } from "../support/wait.ts";

interface Report {
  report: ReportHead;
  optOuts: OptOut[];
  summary: Summary;
  read: ReportRead;
}

let folder: string;

async function configFile({ config, environments, simulator }: Scenario): Promise<string> {
  const { registryUrl } = await sharedStack();
  const file = join(folder, `${config.kafka.groupId}.json`);
  const input: ConfigInput = {
    kafka: { brokers: config.kafka.brokers, groupId: config.kafka.groupId },
    topics: config.topics,
    schemaRegistry: { url: registryUrl },
    environments: environments.map((name) => ({
      ...{ name, baseUrl: simulator.baseUrl(name) },
      auth: { clientId: "relay", clientSecret: "relay-secret" },
    })),
  };
  await writeFile(file, JSON.stringify(input));
  return file;
}

async function evidence(file: string, args: string[], code = 0): Promise<{ stdout: string; stderr: string }> {
  await using cli = runCli(["evidence", "--config", file, "--from", "1h", ...args]);
  assert.equal(await finished(cli), code, cli.stderr());
  return { stdout: cli.stdout(), stderr: cli.stderr() };
}

const reported = async (file: string, args: string[] = [], code = 0): Promise<Report> =>
  JSON.parse((await evidence(file, ["--format", "json", ...args], code)).stdout);

const byId = (a: { statusId: string }, b: { statusId: string }): number => (a.statusId < b.statusId ? -1 : 1);
const expectedOf = (statuses: readonly StatusRecord[]): OptOut[] =>
  statuses.map((status) => optOutOf({ ...status, redriven: null }, { reveal: true })).sort(byId);

describe("evidence", () => {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "optout-evidence-"));
  });
  after(async () => {
    await rm(folder, { recursive: true, force: true });
    await releaseStack();
  });

  test("each opt-out is told once with its true times and requests, in JSON and Avro, and what isn't settled is counted", async () => {
    await using scenario = await createScenario();
    const { simulator, producer, kafka, admin, config } = scenario;
    const file = await configFile(scenario);
    const { registryUrl } = await sharedStack();
    const refusedPhone = phoneOf(1);
    simulator.setFaults("us-west", { rejectPhones: [refusedPhone] });
    const asked = new Date(Date.now() - 86_400_000).toISOString();
    await scenario.produce([
      optOut(0, { occurredAt: asked }),
      optOut(1),
      { key: "bad", value: JSON.stringify({ phone: "12", source: "=cmd" }) },
      ...optOuts(2, 10),
    ]);
    const plain = await scenario.startRelay();
    await scenario.allSettled();
    const statuses = await scenario.statuses();
    plain.kill("SIGTERM");
    await finished(plain);

    const first = await reported(file, ["--reveal"]);
    assert.deepEqual(first.optOuts.toSorted(byId), expectedOf(statuses));
    assert.equal(first.summary.optOuts, 11);
    assert.deepEqual(
      [
        first.summary.delivered,
        first.summary.partiallyDelivered,
        first.summary.rejected,
        first.summary.asked,
      ],
      [9, 1, 1, 1],
    );
    const slowest = first.summary.slowest[0];
    assert.deepEqual([slowest?.phone, slowest?.askedAt], [phoneOf(0), asked]);
    assert.ok((first.summary.timeToHonour.max ?? 0) >= 86_400);
    assert.ok((first.summary.timeToHonour.p50 ?? 86_400) < 3_600);
    assert.deepEqual([first.read.unsettled, first.read.repeats, first.read.problem], [0, 0, null]);

    // What a crash does: all of it once more. Then a record that is none.
    const records = await readTopic(kafka, admin, config.topics.status);
    const again = records.map(({ key, value, partition }) => ({ key, value, partition }));
    await producer.send([{ topic: config.topics.status, messages: again }]);
    const twice = await reported(file, ["--reveal"]);
    assert.deepEqual(twice.optOuts.toSorted(byId), expectedOf(statuses));
    assert.deepEqual([twice.summary.optOuts, twice.read.repeats], [11, records.length]);

    // The rest in Avro; and one that has to wait.
    await scenario.produce(optOuts(10, 15));
    const relay = await scenario.startRelay({
      change: (input) => {
        input.schemaRegistry = { url: registryUrl };
      },
    });
    await scenario.allSettled();
    simulator.setFaults("us-west", { outage: "503" });
    await scenario.produce([optOut(20)]);
    await waitFor("the waiting one to be sealed", async () =>
      [...(await scenario.committed()).values()].some(({ ledger }) => ledger.some(({ settled }) => !settled)),
    );
    const mixed = await reported(file);
    assert.deepEqual([mixed.summary.optOuts, mixed.summary.delivered, mixed.read.unsettled], [16, 14, 1]);
    assert.doesNotMatch(JSON.stringify(mixed), /\+1[2-9]\d{9}/);

    const one = await reported(file, ["--phone", phoneOf(12), "--reveal"]);
    assert.deepEqual(
      one.optOuts.map(({ phone, eventId, outcome }) => [phone, eventId, outcome]),
      [[phoneOf(12), "event-12", "delivered"]],
    );
    for (const { name, requestId } of one.optOuts[0]?.environments ?? []) {
      assert.ok(requestId !== null && requestId !== "", name);
    }
    assert.deepEqual((await reported(file, ["--to", "30m"])).optOuts, []);

    const csv = await evidence(file, ["--format", "csv", "--reveal"]);
    assert.equal(csv.stdout.split("\r\n").length, 1 + 16 + 1);
    assert.ok(csv.stdout.includes(`\r\n'${phoneOf(12)},web,`));
    assert.ok(csv.stdout.includes(`SHA-256`) === false);
    const digest = createHash("sha256").update(csv.stdout).digest("hex");
    assert.ok(csv.stderr.includes(digest), csv.stderr);

    // A record that is no status: all the others are told, and the exit code says that something is missing.
    await producer.send([
      { topic: config.topics.status, messages: [{ key: "x", value: "{}", partition: 0 }] },
    ]);
    const page = join(folder, "report.html");
    const { stdout, stderr } = await evidence(file, ["--format", "html", "--output", page], 1);
    assert.equal(stdout, "");
    assert.match(stderr, /1 record of status-\w+ couldn't be read, .*not a status record/);
    const html = await readFile(page, "utf8");
    assert.match(html, /<b>16<\/b>received/);
    assert.match(html, /1 record of the events topic has no final outcome yet/);
    assert.equal((await readdir(folder)).includes("report.html.partial"), false);
    relay.kill("SIGTERM");
    await finished(relay);

    // What retention does.
    const [second] = (await readTopic(kafka, admin, config.topics.status))
      .filter(({ partition }) => partition === 0)
      .sort((a, b) => Number(a.offset) - Number(b.offset))
      .slice(1);
    const partitions = [
      { partition: 0, offset: "1" },
      { partition: 1, offset: "-1" },
    ];
    await admin.deleteTopicRecords({ topic: config.topics.status, partitions });
    const left = await reported(file, [], 1);
    assert.deepEqual(
      left.read.expired.toSorted((a, b) => a.partition - b.partition),
      [
        { partition: 0, oldestRecordAt: new Date(Number(second?.timestamp)).toISOString() },
        { partition: 1, oldestRecordAt: null },
      ],
    );
  });
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import { findFreePorts } from "../../src/local-stack/ports.ts";
import { type GuardedStack, LOGIN, startGuardedStack } from "../support/guarded-stack.ts";
import { createTopics, endOffsets, testKafka } from "../support/kafka.ts";
import { type CliProcess, finished, runCli } from "../support/process.ts";
import { createScenario, optOuts, phones, type Scenario } from "../support/scenario.ts";
import { releaseStack, sharedStack } from "../support/stack.ts";
import { assertOnEveryList, assertOneBodyPerKey, assertOneOutcomeEach } from "../support/verify.ts";

import { waitFor } from "../support/wait.ts";

type Change = Omit<ConfigInput, "environments">;

/** Nobody gets up for this process: no line at warn or above, nothing on stderr. */
function assertQuiet(process: CliProcess): void {
  assert.equal(process.stderr(), "", "standard error");
  const loud = process.logs().filter(({ level }) => !["trace", "debug", "info"].includes(level));
  assert.deepEqual(loud, [], "lines at warn or above");
}

async function stopInOrder(relay: CliProcess): Promise<void> {
  relay.kill("SIGTERM");
  assert.deepEqual(await relay.exit, { code: 0, signal: null });
}

describe("operations", () => {
  let guarded: GuardedStack;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "optout-operations-"));
    guarded = await startGuardedStack();
  });
  after(async () => {
    await guarded.stop();
    await rm(folder, { recursive: true, force: true });
    await releaseStack();
  });

  const configuration = async (change: Change): Promise<string> => {
    const file = join(folder, `${process.hrtime.bigint()}.json`);
    const environments = [
      {
        name: "production",
        baseUrl: "http://127.0.0.1:9/",
        auth: { clientId: "relay", clientSecret: "s3cret-of-cxone" },
      },
    ];
    await writeFile(file, JSON.stringify({ environments, server: { port: 0 }, ...change }));
    return file;
  };

  /** The one line with which a command gave up: after about ten seconds, here within 45, as the machine may be busy. */
  const refusal = async (command: string, change: Change): Promise<string> => {
    await using cli = runCli([command, "--config", await configuration(change)]);
    const from = performance.now();
    const code = await finished(cli);
    const took = performance.now() - from;
    assert.equal(code, 1, cli.stderr());
    assert.ok(took < 45_000, `took ${Math.round(took)} ms`);
    const said = cli.stderr();
    assert.match(said, /^optout-relay: [^\n]+\n$/, "one line, without a stack");
    assert.deepEqual(
      cli.logs().filter(({ level }) => ["error", "fatal"].includes(level)),
      [],
      "the error is said once",
    );
    assert.doesNotMatch(said + cli.stdout(), /s3cret|Horse/, "a secret");
    return said;
  };

  test("on a fresh broker, from the start to the last line, nothing sounds like trouble", async () => {
    const { registryUrl } = await sharedStack();
    const kafka = testKafka([guarded.plain]);
    const admin = kafka.admin();
    await admin.connect();
    // The stack waits until the coordinators are there; a broker that was just installed has none.
    await admin.deleteTopics({ topics: ["__consumer_offsets", "__transaction_state"] });
    await waitFor("the broker to be as if new", async () => (await admin.listTopics()).length === 0);
    await admin.disconnect();
    await using scenario = await createScenario({ brokers: [guarded.plain] });
    const relay = await scenario.startRelay({
      change: (config) => {
        config.schemaRegistry = { url: registryUrl };
      },
    });
    await scenario.produce(optOuts(0, 500));
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(0, 500));
    await stopInOrder(relay);
    assertQuiet(relay);
    const says = relay.logs().map(({ msg }) => msg);
    assert.ok(says.length < 12, `${says.length} lines for a healthy life`);
    assert.equal(says.at(-1), "stopped");
  });

  describe("a start that can't succeed ends with one line that says why and what to do", {
    concurrency: 3,
  }, () => {
    test("absent brokers", async () => {
      const [first, second] = await findFreePorts(2);
      const brokers = [`127.0.0.1:${first}`, `127.0.0.1:${second}`];
      for (const said of await Promise.all([
        refusal("relay", { kafka: { brokers } }),
        refusal("topics", { kafka: { brokers } }),
      ])) {
        for (const broker of brokers) assert.ok(said.includes(broker), said);
        assert.match(said, /Can't reach Kafka.*nothing listens there.*Check that the brokers run/);
      }
    });

    test("a broker's name that doesn't resolve", async () => {
      const said = await refusal("relay", { kafka: { brokers: ["kafka.invalid:9092"] } });
      assert.match(said, /Can't reach Kafka at kafka\.invalid:9092: the host name doesn't resolve.*DNS/);
    });

    test("a wrong password", async () => {
      const sasl = { mechanism: "plain", username: LOGIN.username, password: "wrong-Horse" } as const;
      const said = await refusal("relay", { kafka: { brokers: [guarded.login], sasl } });
      assert.match(said, /refused the login.*kafka\.sasl \(mechanism, username, password\)/);
      assert.ok(said.includes(guarded.login));
    });

    test("a login mechanism that the brokers don't offer", async () => {
      const sasl = { mechanism: "scram-sha-512", ...LOGIN } as const;
      const said = await refusal("relay", { kafka: { brokers: [guarded.login], sasl } });
      assert.match(said, /doesn't offer the login mechanism of kafka\.sasl\.mechanism/);
    });

    test("a login at a listener that takes none", async () => {
      const sasl = { mechanism: "plain", ...LOGIN } as const;
      const said = await refusal("relay", { kafka: { brokers: [guarded.plain], sasl } });
      assert.match(said, /takes no login.*Remove kafka\.sasl, or use the port of its SASL listener/);
    });

    test("no login at a listener that wants one", async () => {
      const said = await refusal("relay", { kafka: { brokers: [guarded.login] } });
      assert.match(said, /closed the connection.*\(kafka\.ssl\) or a login \(kafka\.sasl\)/);
    });

    test("TLS spoken to a plain listener", async () => {
      const said = await refusal("relay", { kafka: { brokers: [guarded.plain], ssl: true } });
      assert.match(said, /TLS handshake.*doesn't speak TLS: set kafka\.ssl to false/);
    });

    test("no TLS at a listener that wants it", async () => {
      const said = await refusal("relay", { kafka: { brokers: [guarded.tls] } });
      assert.match(said, /listener wants TLS \(kafka\.ssl\)/);
    });

    test("a certificate that nobody vouches for", async () => {
      const said = await refusal("relay", { kafka: { brokers: [guarded.tls], ssl: true } });
      assert.match(said, /certificate of .* isn't trusted: .*kafka\.ssl\.caFile/);
    });

    test("missing topics: each is named, and those that are there aren't", async () => {
      const kafka = testKafka([guarded.plain]);
      const admin = kafka.admin();
      await admin.connect();
      await createTopics(admin, [{ topic: "there", numPartitions: 1 }]);
      await admin.disconnect();
      const topics = { events: "there", status: "not-there", deadLetter: "nor-here" };
      const said = await refusal("relay", { kafka: { brokers: [guarded.plain] }, topics });
      assert.match(said, /no topics "not-there" \(topics\.status\), "nor-here" \(topics\.deadLetter\)/);
      assert.match(said, /Run `optout-relay topics`/);
      assert.doesNotMatch(said, /"there"/);
    });

    test("a port in use", async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      try {
        const address = server.address();
        const port = typeof address === "object" && address !== null ? address.port : 0;
        const said = await refusal("relay", {
          kafka: { brokers: [guarded.plain] },
          server: { port },
        });
        assert.match(
          said,
          new RegExp(`Can't listen on 127\\.0\\.0\\.1:${port} \\(server\\.host, server\\.port\\)`),
        );
      } finally {
        server.close();
      }
    });
  });

  for (const [what, options] of [
    ["a login", () => ({ brokers: [guarded.login], sasl: { mechanism: "plain", ...LOGIN } as const })],
    ["TLS", () => ({ brokers: [guarded.tls], ssl: { caFile: guarded.caFile } })],
  ] as const) {
    test(`over ${what} it delivers as quietly`, async () => {
      await using scenario = await createScenario({ brokers: [guarded.plain] });
      const relay = await scenario.startRelay({
        change: (config) => {
          config.kafka = { ...config.kafka, ...options() };
          config.logging = { level: "trace" };
        },
      });
      await scenario.produce(optOuts(0, 100));
      await scenario.allSettled();
      assertOnEveryList(scenario, phones(0, 100));
      await stopInOrder(relay);
      assertQuiet(relay);
      assert.ok(relay.logs().length > 100, "the client's own lines are there, too");
      assert.doesNotMatch(relay.stdout(), new RegExp(LOGIN.password));
    });
  }

  test("a broker that restarts, and one that dies, under load: the relay lives on and loses nothing", async () => {
    const { stack } = guarded;
    await using scenario = await createScenario({ brokers: [guarded.plain], partitions: 3 });
    for (const environment of scenario.environments) {
      scenario.simulator.setFaults(environment, { latencyMs: 40, jitterMs: 40 });
    }
    const relay = await scenario.startRelay();
    const feed = feedAll(scenario, 3_000);
    await waitFor(
      "a first part to be delivered",
      () => scenario.simulator.entries("production").length > 300,
    );
    await stack.restartBroker();
    await waitFor("deliveries to go on", () => scenario.simulator.entries("production").length > 1_200);
    await stack.killBroker();
    await stack.startBroker();
    await feed;
    await scenario.allSettled();
    assert.ok(relay.running, relay.stderr());
    const ends = await endOffsets(scenario.admin, scenario.config.topics.events);
    const events = [...ends.values()].reduce((sum, end) => sum + end, 0);
    assertOnEveryList(scenario, phones(0, 3_000));
    assertOneBodyPerKey(scenario);
    assert.deepEqual(await assertOneOutcomeEach(scenario, events), { delivered: events });
    await stopInOrder(relay);
    assert.equal(relay.stderr(), "");
    const loud = relay.logs().filter(({ level }) => !["debug", "info"].includes(level));
    assert.deepEqual(
      loud.filter(({ level }) => level !== "warn"),
      [],
      "lines above warn",
    );
    assert.ok(loud.length > 0 && loud.length < 40, `${loud.length} warnings`);
    const says = relay.logs().map(({ msg }) => msg);
    assert.ok(says.includes("offset commits work again"), "the end of the trouble is told, too");
  });
});

/** Produces in portions, each as often as it takes: a broker that goes away may have taken one that is sent again. */
async function feedAll(scenario: Scenario, total: number): Promise<void> {
  for (let sent = 0; sent < total; sent += 100) {
    await waitFor("a portion to be produced", async () => {
      await scenario.produce(optOuts(sent, sent + 100));
      return true;
    });
    await waitFor("the feed not to run far ahead", () => {
      return scenario.simulator.entries("production").length > sent - 1_000;
    });
  }
}

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { commandEnv } from "../support/command-env.ts";
import { readyGateway } from "../support/gateway.ts";
import { assertNoKey, assertNoPhoneNorSecret, FORMS, partsOf, secretsOf } from "../support/leaks.ts";
import { type OtlpCollector, startOtlpCollector } from "../support/otlp-collector.ts";
import { finished, runCli } from "../support/process.ts";
import { createProxy } from "../support/proxy.ts";
import { createScenario, phoneOf, phones, type RelayProcess, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { scrape, stateOf } from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

const exportingTo = (collector: OtlpCollector) => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  OTEL_BSP_SCHEDULE_DELAY: "100",
});

/** All that a relay shows to whoever asks. */
async function viewsOf({ url }: RelayProcess): Promise<string> {
  const openMetrics = { headers: { accept: "application/openmetrics-text; version=1.0.0" } };
  const answers = await Promise.all([
    ...["metrics", "state", "readyz", "livez", "", "nowhere"].map((path) => fetch(`${url}/${path}`)),
    fetch(`${url}/metrics`, openMetrics),
  ]);
  return (await Promise.all(answers.map((answer) => answer.text()))).join("\n");
}

describe("what the programs keep to themselves", () => {
  after(releaseStack);

  test("no phone, secret, token or idempotency key is in any line, metric, span, page or state of the relay, whatever goes wrong", async () => {
    const batching = { maxEntries: 3 };
    await using collector = await startOtlpCollector();
    await using scenario = await createScenario({ partitions: 2, sessionTimeout: "3s", batching });
    const { simulator, environments } = scenario;
    const proxies = await Promise.all(environments.map((name) => createProxy(simulator.baseUrl(name))));
    const shown: string[] = [];
    const start = () =>
      scenario.startRelay({
        env: exportingTo(collector),
        change: (config) => {
          config.logging = { level: "trace", phoneHashSecret: HASH_SECRET };
          config.environments.forEach((environment, index) => {
            environment.baseUrl = proxies[index]?.baseUrl ?? "";
          });
        },
      });
    try {
      simulator.setFaults("production", { errorRate: 0.4, dropAfterApply: 0.5 });
      simulator.setFaults("us-west", { shortAck: 1, rejectPhones: [phoneOf(3)] });
      simulator.setFaults("eu-central", { outage: true });
      const first = await start();
      await scenario.produce([...inManyForms(0, 100), ...spoilt(100)]);
      await waitFor("some of everything to have gone wrong", async () => {
        const metrics = await scrape(first);
        const seen = (environment: string, outcome: string) =>
          metrics.value("optout_delivery_attempts_total", { environment, outcome }) > 0;
        return (
          seen("production", "unavailable") &&
          seen("production", "error") &&
          seen("us-west", "short") &&
          seen("us-west", "refused") &&
          metrics.value("optout_token_refreshes_total", { environment: "eu-central", outcome: "failed" }) > 0
        );
      });
      shown.push(await viewsOf(first));
      simulator.setFaults("eu-central", { requestsPerSecond: 1, retryAfter: 1 });
      simulator.setFaults("us-west", { rejectPhones: [phoneOf(3)] });
      const second = await start();
      await waitFor(
        "the partitions to be shared",
        async () => (await stateOf(second)).partitions.length === 1,
      );
      for (const environment of environments) simulator.revokeTokens(environment);
      await scenario.produce(inManyForms(200, 300));
      first.kill("SIGKILL");
      await waitFor("the other to take over", async () => (await stateOf(second)).partitions.length === 2);
      for (const environment of environments) simulator.setFaults(environment, {});
      await scenario.allSettled();
      shown.push(await viewsOf(second));
      second.kill("SIGTERM");
      assert.equal((await second.exit).code, 0);
      shown.push(first.stdout(), first.stderr(), second.stdout(), second.stderr());

      const tokens = proxies.flatMap((proxy) => [...proxy.tokens]);
      assert.ok(tokens.length >= 4, `${tokens.length} tokens seen`);
      const text = shown.join("\n");
      assert.ok(text.length > 100_000, "the processes said a lot");
      assert.match(text, /phoneHash/);
      assert.ok(collector.spans.length > 100, `${collector.spans.length} spans`);
      for (const said of [text, collector.text()]) {
        assertNoPhoneNorSecret(said, [...tokens, ...secretsOf(scenario.config), HASH_SECRET]);
        assertNoKey(said);
        assert.doesNotMatch(
          said,
          /https?:\/\/127\.0\.0\.1:\d+\/(production|us-west|eu-central)/,
          "an environment's URL",
        );
      }
    } finally {
      for (const proxy of proxies) await proxy.close();
    }
  });

  test("nor in what the gateway says, or the commands that look at everything", async () => {
    await using collector = await startOtlpCollector();
    await using scenario = await createScenario({ partitions: 1 });
    scenario.simulator.setFaults("us-west", { rejectPhones: [phoneOf(201)] });
    await scenario.startRelay();
    await using gateway = runCli(["gateway"], {
      env: {
        ...commandEnv(scenario.config),
        ...exportingTo(collector),
        OPTOUT_GATEWAY__PORT: "0",
        OPTOUT_GATEWAY__API_KEYS__0: API_KEY,
        OPTOUT_LOGGING__LEVEL: "trace",
      },
    });
    const shown = await abuse(gateway);
    await scenario.produce([...inManyForms(200, 212), ...spoilt(100)]);
    await scenario.allSettled();
    for (const args of COMMANDS) shown.push(await outputOf(scenario, args));
    gateway.kill("SIGTERM");
    assert.equal((await gateway.exit).code, 0);
    shown.push(gateway.stdout(), gateway.stderr(), collector.text());
    assert.ok(collector.spans.length > 5);
    assertNoPhoneNorSecret(shown.join("\n"), [...secretsOf(scenario.config), API_KEY, "wrong-key-8831"]);
  });
});

const HASH_SECRET = "hash-Secret-7719";
const API_KEY = "api-Key-5520-of-the-test";

const COMMANDS = [
  ["ledger"],
  ["ledger", "--json"],
  ["check"],
  ["check", "--json"],
  ["redrive", "--all", "--dry-run"],
  ["redrive", "--all", "--dry-run", "--json"],
  ["evidence", "--from", "1h", "--format", "csv"],
  ["evidence", "--from", "1h", "--format", "json"],
  ["evidence", "--from", "1h", "--format", "html"],
  ["trace", "12"],
  ["trace", "+1 (212) 200-00"],
];

async function outputOf({ config }: Scenario, args: string[]): Promise<string> {
  await using cli = runCli(args, { env: commandEnv(config) });
  await finished(cli);
  const text = cli.stdout() + cli.stderr();
  assert.ok(text.length > 50, `${args.join(" ")} says: ${text}`);
  return text;
}

/** Asks a gateway in ways that it refuses, and in some that it takes; what it answered, but for the phone in a 202. */
async function abuse(gateway: ReturnType<typeof runCli>): Promise<string[]> {
  const url = await readyGateway(gateway);
  const shown: string[] = [];
  const ask = async (path: string, init: RequestInit = {}, key = API_KEY) => {
    const headers = { "content-type": "application/json", "x-api-key": key, ...init.headers };
    const response = await fetch(url + path, { ...init, headers });
    const text = await response.text();
    if (response.status !== 202) shown.push(text, JSON.stringify([...response.headers]));
    return response.status;
  };
  const phone = phoneOf(7);
  const post = (body: string, headers = {}) => ({ method: "POST", body, headers });
  const statuses = [
    await ask("/opt-out", post(JSON.stringify({ phone }))),
    await ask("/opt-out", post(JSON.stringify({ phone: `${phone}999` }))),
    await ask("/opt-out", post(JSON.stringify({ phone, source: `call ${phone}` }))),
    await ask("/opt-out", post(JSON.stringify({ phone, occurredAt: phone }))),
    await ask("/opt-out", post(JSON.stringify({ phone, action: phone }))),
    await ask("/opt-out", post(`{"phone": "${phone}"`)),
    await ask("/opt-out", post(phone, { "content-type": `text/${phone}` })),
    await ask(
      "/opt-out",
      post(JSON.stringify({ phone }), { "idempotency-key": `${phone}${"x".repeat(300)}` }),
    ),
    await ask("/opt-out", post(JSON.stringify({ phone, pad: phone.repeat(2_000) }))),
    await ask("/opt-out", post(JSON.stringify({ phone })), "wrong-key-8831"),
    await ask(`/opt-out?phone=${encodeURIComponent(phone)}`, { method: "GET" }),
    await ask(`/opt-out/${phone}`, { method: "GET" }),
    await ask("/metrics"),
    await ask("/readyz"),
  ];
  assert.deepEqual(statuses, [202, 400, 202, 202, 400, 400, 415, 400, 413, 401, 405, 404, 200, 200]);
  return shown;
}

const inManyForms = (from: number, to: number) =>
  phones(from, to).map((phone, index) => ({
    key: phone,
    value: JSON.stringify({
      phone: FORMS[index % FORMS.length]?.(...partsOf(phone)),
      eventId: phone,
      source: "web",
    }),
  }));

/** Records that are rejected, each with a phone in it somewhere. */
const spoilt = (index: number) => {
  const phone = phoneOf(index);
  return [
    { key: phone, value: `{"phone": "${phone}"` },
    { key: phone, value: JSON.stringify({ phone: `${phone}999` }) },
    { key: phone, value: JSON.stringify({ phone, action: phone }) },
    { key: phone, value: JSON.stringify({ phone, occurredAt: phone }) },
    { key: phone, value: null },
    { key: phone, value: phone },
    { key: phone, value: Buffer.concat([Buffer.of(0, 0, 0, 0, 77), Buffer.from(phone)]) },
    { key: phone, value: JSON.stringify({ [phone]: phone }) },
  ];
};

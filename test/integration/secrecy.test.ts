import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { Config } from "../../src/config/schema.ts";
import { createProxy } from "../support/proxy.ts";
import { createScenario, phoneOf, phones, type RelayProcess } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { scrape, stateOf } from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

describe("what the relay keeps to itself", () => {
  after(releaseStack);

  test("no phone, secret, token or idempotency key is in any line, metric or state, whatever goes wrong", async () => {
    const batching = { maxEntries: 3 };
    await using scenario = await createScenario({ partitions: 2, sessionTimeout: "3s", batching });
    const { simulator, environments } = scenario;
    const proxies = await Promise.all(environments.map((name) => createProxy(simulator.baseUrl(name))));
    const shown: string[] = [];
    const look = async (relay: RelayProcess) => {
      for (const path of ["metrics", "state", "readyz"]) {
        shown.push(await (await fetch(`${relay.url}/${path}`)).text());
      }
    };
    const start = () =>
      scenario.startRelay({
        change: (config) => {
          config.logging = { level: "trace" };
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
      await look(first);
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
      await look(second);
      second.kill("SIGTERM");
      assert.equal((await second.exit).code, 0);
      shown.push(first.stdout(), first.stderr(), second.stdout(), second.stderr());

      const tokens = proxies.flatMap((proxy) => [...proxy.tokens]);
      assert.ok(tokens.length >= 4, `${tokens.length} tokens seen`);
      assertNothingLeaks(shown, [...tokens, ...secretsOf(scenario.config)]);
    } finally {
      for (const proxy of proxies) await proxy.close();
    }
  });
});

/** E.164 `+1AAANNNXXXX` as people write it. */
const FORMS: ((area: string, office: string, line: string) => string)[] = [
  (area, office, line) => `+1${area}${office}${line}`,
  (area, office, line) => `(${area}) ${office}-${line}`,
  (area, office, line) => `${area}.${office}.${line}`,
  (area, office, line) => `1 ${area} ${office} ${line}`,
  (area, office, line) => `tel:+1-${area}-${office}-${line}`,
  (area, office, line) => `${area}${office}${line}`,
];

const partsOf = (phone: string): [string, string, string] => [
  phone.slice(2, 5),
  phone.slice(5, 8),
  phone.slice(8),
];

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

const secretsOf = ({ environments }: Config): string[] =>
  environments.map(({ auth }) => auth.clientSecret ?? "").filter((secret) => secret !== "");

function assertNothingLeaks(shown: readonly string[], secrets: readonly string[]): void {
  const text = shown.join("\n");
  assert.ok(text.length > 100_000, "the processes said a lot");
  for (const phone of phones(0, 300)) {
    for (const form of FORMS) {
      const written = form(...partsOf(phone)).replace("tel:", "");
      const at = text.indexOf(written);
      assert.equal(at, -1, `a phone leaks: ${text.slice(Math.max(0, at - 200), at + 50)}`);
    }
  }
  for (const secret of new Set(secrets)) {
    const at = text.indexOf(secret);
    assert.equal(at, -1, `a secret leaks: ${text.slice(Math.max(0, at - 200), at + 50)}`);
  }
  assert.doesNotMatch(text, /Bearer /);
  const key = /.{0,100}:\d+:\d+-\d+:[0-9a-f]{16}/.exec(text);
  assert.equal(key, null, `an idempotency key leaks: ${key?.[0]}`);
}

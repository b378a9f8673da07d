import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { commandEnv } from "../support/command-env.ts";
import { dashboardQueries } from "../support/dashboard.ts";
import { readyGateway } from "../support/gateway.ts";
import { startOtlpCollector } from "../support/otlp-collector.ts";
import { runCli } from "../support/process.ts";
import { type Alert, type PrometheusServer, startPrometheus } from "../support/prometheus-server.ts";
import { createScenario, optOut, optOuts, phoneOf } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { environmentOf } from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

/** As Grafana would fill them in. */
const VARIABLES: Record<string, string> = {
  $job: "optout-relay",
  $gateway: "optout-gateway",
  $environment: ".+",
  $__rate_interval: "10s",
};
const filledIn = (query: string): string =>
  Object.entries(VARIABLES).reduce((text, [name, value]) => text.replaceAll(name, value), query);

/** Panels that are empty as long as all is well. */
const EMPTY_IN_HEALTH = [
  "Environments that take nothing A",
  "Environments that take nothing B",
  "Environments that take nothing C",
  "Lanes A",
  "Partitions that aren't read further A",
  "annotation Lane closed",
  "annotation Relay started",
  // Tokens last for an hour.
  "Access tokens A",
];

async function resultsOf(prometheus: PrometheusServer): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const { where, query } of dashboardQueries) {
    counts.set(where, (await prometheus.query(filledIn(query))).length);
  }
  return counts;
}

const empty = (results: ReadonlyMap<string, number>): string[] =>
  [...results].flatMap(([where, count]) => (count === 0 ? [where] : []));

const firing = async (prometheus: PrometheusServer): Promise<Alert[]> =>
  (await prometheus.alerts()).filter(({ state }) => state === "firing");

const alertNamed = (alerts: readonly Alert[], name: string): Alert[] =>
  alerts.filter(({ labels }) => labels.alertname === name);

const hostOf = (url: string): string => new URL(url).host;

describe("a real Prometheus", () => {
  after(releaseStack);

  test("scrapes relay and gateway; the dashboard has data; an outage fires the alerts of that environment until it is over", async () => {
    await using collector = await startOtlpCollector();
    await using scenario = await createScenario({ partitions: 2, batching: { maxEntries: 10 } });
    const { simulator } = scenario;
    simulator.setFaults("production", { rejectPhones: [phoneOf(3)] });
    const relay = await scenario.startRelay({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url } });
    await using gateway = runCli(["gateway"], {
      env: { ...commandEnv(scenario.config), OPTOUT_GATEWAY__PORT: "0" },
    });
    const intakeUrl = await readyGateway(gateway);
    await using prometheus = await startPrometheus({
      "optout-relay": [hostOf(relay.url)],
      "optout-gateway": [hostOf(intakeUrl)],
    });

    // Rates need something to have changed between two scrapes.
    let sent = 0;
    const traffic = async (): Promise<void> => {
      await scenario.produce(optOuts(sent, sent + 20));
      await scenario.produce([{ key: "k", value: "garbage" }]);
      sent += 20;
      const answers = await Promise.all(
        [phoneOf(1), "no phone"].map((phone) =>
          fetch(`${intakeUrl}/opt-out`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ phone }),
          }),
        ),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        [202, 400],
      );
    };
    const healthy = await waitFor("every panel to have data", async () => {
      await traffic();
      const results = await resultsOf(prometheus);
      return empty(results).length <= EMPTY_IN_HEALTH.length && results;
    });
    assert.deepEqual(empty(healthy).sort(), [...EMPTY_IN_HEALTH].sort());
    for (const { labels, health, lastError } of await prometheus.targets()) {
      assert.equal(health, "up", `${labels.job}: ${lastError}`);
    }
    const traces = await prometheus.exemplars(`{__name__=~"optout_(delivery|end_to_end)_seconds_bucket"}`);
    assert.ok(traces.length > 0, "exemplars");
    for (const trace of traces) assert.match(trace, /^[0-9a-f]{32}$/);
    await waitFor("the spans of an exemplar", () =>
      collector.spans.some(({ traceId }) => traces.includes(traceId)),
    );
    const environmentAlerts = (alerts: readonly Alert[]) =>
      alerts.filter(({ labels }) => labels.environment !== undefined);
    await scenario.allSettled();
    assert.deepEqual(environmentAlerts(await firing(prometheus)), []);

    simulator.setFaults("us-west", { outage: true });
    const asked = new Date(Date.now() - 10 * 60_000).toISOString();
    await scenario.produce(
      Array.from({ length: 30 }, (_, index) => optOut(sent + index, { occurredAt: asked })),
    );
    const alerts = await waitFor("the outage to be told", async () => {
      const seen = await firing(prometheus);
      const known = ["OptoutWaitingLong", "OptoutEnvironmentUnavailable"].every(
        (name) => alertNamed(seen, name).length > 0,
      );
      // Both count the people at every evaluation, so those who were read last may be missing at first.
      return (
        known &&
        environmentAlerts(seen).every(({ annotations }) =>
          annotations.description?.includes("30 phones wait"),
        ) &&
        seen
      );
    });
    for (const { labels, annotations } of environmentAlerts(alerts)) {
      assert.equal(labels.environment, "us-west", labels.alertname);
      assert.match(annotations.summary ?? "", /us-west/);
      assert.ok(
        annotations.description?.includes(asked.slice(0, 16).replace("T", " ")),
        annotations.description,
      );
    }
    const [unavailable] = alertNamed(alerts, "OptoutEnvironmentUnavailable");
    assert.match(unavailable?.annotations.description ?? "", /unavailable\. It is retried without end/);
    const out = await resultsOf(prometheus);
    for (const where of EMPTY_IN_HEALTH.filter(
      (each) => !/^(Partitions|Access|annotation Relay)/.test(each),
    )) {
      assert.ok((out.get(where) ?? 0) > 0, `${where} shows the outage`);
    }

    simulator.setFaults("us-west", {});
    await scenario.allSettled();
    await waitFor(
      "no alert about an environment",
      async () => environmentAlerts(await firing(prometheus)).length === 0,
    );
  });

  test("a scope that doesn't suffice fires an alert that says that people have to mend them", async () => {
    await using scenario = await createScenario({ partitions: 1 });
    scenario.simulator.setFaults("eu-central", { outage: true });
    const relay = await scenario.startRelay({
      change: (config) => {
        Object.assign(environmentOf(config, "production").auth, { scope: "dnc:read" });
      },
    });
    await using prometheus = await startPrometheus({ "optout-relay": [hostOf(relay.url)] });
    await scenario.produce(optOuts(0, 20));
    const [alert, ...others] = await waitFor("the alert", async () => {
      const found = alertNamed(await firing(prometheus), "OptoutEnvironmentRefusesAccess");
      return found.length > 0 && found;
    });
    assert.deepEqual(others, []);
    assert.equal(alert?.labels.environment, "production");
    assert.equal(alert.labels.severity, "critical");
    assert.match(alert.annotations.description ?? "", /misconfigured\. Only people can mend this/);
  });
});

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { startLoad } from "../support/aftermath.ts";
import { hostileRecords } from "../support/bad-records.ts";
import { createHostileEnvironment } from "../support/hostile-environment.ts";
import { assertClosedLists, assertGrown, ownSamples, series } from "../support/metrics-truth.ts";
import { startOtlpCollector } from "../support/otlp-collector.ts";
import { type Exemplar, type OpenMetrics, parseOpenMetrics } from "../support/prometheus.ts";
import { createScenario, optOut, optOuts, phones, type RelayProcess } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { environmentOf, scrape } from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

/** As Prometheus 2 and 3 ask. */
const OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

const scrapeOpenMetrics = async ({ url }: RelayProcess): Promise<OpenMetrics> => {
  const response = await fetch(`${url}/metrics`, { headers: { accept: OPEN_METRICS } });
  assert.match(response.headers.get("content-type") ?? "", /^application\/openmetrics-text; version=1\.0\.0/);
  return parseOpenMetrics(await response.text());
};

describe("what is scraped", { concurrency: 2 }, () => {
  after(releaseStack);

  test("both formats, asked for at the same time under load, have the same series; exemplars are of spans, in OpenMetrics alone", async () => {
    await using collector = await startOtlpCollector();
    await using scenario = await createScenario();
    for (const name of scenario.environments) scenario.simulator.setFaults(name, { errorRate: 0.2 });
    const relay = await scenario.startRelay({
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: "200" },
    });
    const load = startLoad(scenario, { events: 20, everyMs: 50 });
    const exemplars: Exemplar[] = [];
    try {
      await waitFor("both partitions to be read and something to be settled", async () => {
        const metrics = await scrape(relay);
        const read = metrics.families.get("optout_events_consumed_total")?.samples.length;
        return read === 2 && metrics.sum("optout_events_completed_total") > 0;
      });
      const start = (await scrape(relay)).sum("optout_delivery_attempts_total");
      await waitFor("twenty rounds, with work between them", async () => {
        const before = await scrape(relay);
        const [text, open, more] = await Promise.all([
          scrape(relay),
          scrapeOpenMetrics(relay),
          scrapeOpenMetrics(relay),
        ]);
        const later = await scrape(relay);
        assert.deepEqual(series(open.exposition), series(text));
        assert.deepEqual(series(more.exposition), series(text));
        for (const middle of [text, open.exposition, more.exposition]) {
          assertGrown(before, middle);
          assertGrown(middle, later);
        }
        exemplars.push(...open.exemplars, ...more.exemplars);
        return later.sum("optout_delivery_attempts_total") >= start + 60;
      });
    } finally {
      await load.stop();
    }
    await scenario.allSettled();
    const [text, open] = await Promise.all([scrape(relay), scrapeOpenMetrics(relay)]);
    assert.deepEqual(ownSamples(open.exposition), ownSamples(text));
    exemplars.push(...open.exemplars);

    const names = new Set(exemplars.map(({ sample }) => sample.name));
    assert.deepEqual([...names].sort(), [
      "optout_delivery_seconds_bucket",
      "optout_end_to_end_seconds_bucket",
    ]);
    for (const { sample, value } of exemplars) {
      assert.ok(value <= Number(sample.labels.le?.replace("+Inf", "Infinity")), "it lies in its bucket");
    }
    await waitFor("the collector to have the span of each exemplar", () => {
      const spans = new Set(collector.spans.map(({ traceId, spanId }) => `${traceId} ${spanId}`));
      return exemplars.every(({ labels }) => spans.has(`${labels.trace_id} ${labels.span_id}`));
    });
  });

  test("whatever producers and environments say, no series comes to be, and every label is from a closed list", async (context) => {
    const hostile = await createHostileEnvironment();
    context.after(() => hostile.close());
    await using scenario = await createScenario();
    const relay = await scenario.startRelay({
      change(config) {
        const target = environmentOf(config, "us-west");
        target.baseUrl = hostile.baseUrl;
        target.retry = { initialBackoff: "10ms", maxBackoff: "50ms" };
      },
    });
    const usual = [0, 1].map((partition) => ({ ...optOut(partition), partition }));
    await scenario.produce(usual);
    const before = await waitFor("both partitions to be read", async () => {
      const metrics = await scrape(relay);
      return metrics.sum("optout_events_consumed_total") === 2 && metrics;
    });
    assertClosedLists(before, scenario.environments);

    for (const name of ["production", "eu-central"]) {
      scenario.simulator.setFaults(name, { rejectPhones: phones(10, 12), errorRate: 0.2 });
    }
    await scenario.produce([...hostileRecords(), ...optOuts(10, 40)]);
    await waitFor("every odd answer to be given", () => hostile.given === hostile.oddities);
    await scenario.allSettled();
    const after = await scrape(relay);
    assert.ok(after.sum("optout_events_rejected_total") > 30, "the records were odd");
    for (const outcome of ["misconfigured", "unavailable", "unauthorized", "short", "error"]) {
      const labels = { environment: "us-west", outcome };
      assert.ok(
        after.value("optout_delivery_attempts_total", labels) > 0,
        `${outcome} was among the answers`,
      );
    }
    assert.deepEqual(series(after), series(before));
    assertClosedLists(after, scenario.environments);
  });
});

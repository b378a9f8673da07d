import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { createExposer } from "../../src/observability/exposition.ts";
import { createMetrics } from "../../src/observability/metrics.ts";

/** As Prometheus 2 and 3 ask. */
const PROMETHEUS =
  "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const IDS = { trace_id: "0af7651916cd43dd8448eb211c80319c", span_id: "b7ad6b7169203331" };

const isOpenMetrics = async (accept: string | undefined): Promise<boolean> => {
  const { contentType, body } = await createExposer(new Registry())(accept);
  assert.equal(
    contentType.startsWith("application/openmetrics-text; version=1.0.0"),
    body.endsWith("# EOF\n"),
  );
  return body.endsWith("# EOF\n");
};

describe("the format of the metrics", () => {
  test("is OpenMetrics for whoever prefers it, else the text format", async () => {
    for (const accept of [
      PROMETHEUS,
      "application/openmetrics-text",
      "Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8",
      "text/plain;q=0.5, application/openmetrics-text;q=0.6",
    ]) {
      assert.equal(await isOpenMetrics(accept), true, accept);
    }
    for (const accept of [
      undefined,
      "",
      "*/*",
      "text/html,application/xhtml+xml,*/*;q=0.8",
      "application/openmetrics-text;version=0.0.1",
      "application/openmetrics-text;q=0",
      "application/openmetrics-text;q=nonsense",
      "application/openmetrics-text;q=0.5,text/plain",
      ",;q=,;;",
    ]) {
      assert.equal(await isOpenMetrics(accept), false, accept);
    }
  });

  test("scrapes in both at the same time have the same samples, and each the names of its format", async () => {
    const registry = new Registry();
    const registers = [registry];
    new Counter({ name: "sent_total", help: "Sent.", labelNames: ["to"], registers }).inc({ to: "a" }, 3);
    new Histogram({ name: "took_seconds", help: "Took.", buckets: [1, 2], registers }).observe(1.5);
    let looked = 0;
    const gauge = { name: "open", help: "Open.", labelNames: ["at"], registers };
    new Gauge({
      ...gauge,
      collect() {
        this.reset();
        this.set({ at: `look ${++looked}` }, 1);
      },
    });
    const expose = createExposer(registry);
    for (let round = 0; round < 3; round++) {
      const [text, open] = await Promise.all([expose(undefined), expose(PROMETHEUS)]);
      assert.match(text.body, /# TYPE sent_total counter\nsent_total\{to="a"\} 3\n/);
      assert.match(open.body, /# TYPE sent counter\nsent_total\{to="a"\} 3\n/);
      for (const { body } of [text, open]) {
        assert.match(body, /took_seconds_bucket\{le="2"\} 1\n/);
        assert.equal(body.match(/^open\{/gm)?.length, 1, "no label of an earlier look stays");
      }
    }
  });

  test("OpenMetrics alone has exemplars, and none where no trace was given", async () => {
    const { deliverySeconds, endToEndSeconds, expose } = createMetrics({ version: "1", environments: ["a"] });
    deliverySeconds.observe({ environment: "a" }, 0.2, IDS);
    deliverySeconds.observe({ environment: "a" }, 3);
    endToEndSeconds.observe({}, 4);
    const exemplars = (body: string) => body.split("\n").filter((line) => line.includes(" # "));
    assert.deepEqual(exemplars((await expose(undefined)).body), []);
    const [exemplar, ...others] = exemplars((await expose(PROMETHEUS)).body);
    assert.deepEqual(others, []);
    assert.match(
      String(exemplar),
      /^optout_delivery_seconds_bucket\{le="0\.25",environment="a"\} 1 # \{trace_id="0af7651916cd43dd8448eb211c80319c",span_id="b7ad6b7169203331"\} 0\.2 \d+\.\d+$/,
    );
  });
});

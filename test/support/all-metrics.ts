import type { Registry } from "prom-client";
import { createGatewayMetrics } from "../../src/gateway/metrics.ts";
import type { MetricsSource } from "../../src/observability/gauges.ts";
import { createMetrics } from "../../src/observability/metrics.ts";
import { parseExposition, type Sample } from "./prometheus.ts";

async function samplesOf(registry: Registry): Promise<Sample[]> {
  const { families } = parseExposition(await registry.metrics());
  return [...families.values()].flatMap(({ samples }) => samples);
}

/** What a relay with one partition and one environment, and a gateway, show. */
export async function allSamples(): Promise<Sample[]> {
  const name = "production";
  const relay = createMetrics({ version: "1", environments: [name] });
  const source: MetricsSource = {
    partitions: () => [{ partition: 0, committedOffset: 0, lag: 0, ledgerUsedRatio: 0, paused: false }],
    environments: () => [{ name, pendingEntries: 0, oldestPendingAt: undefined }],
    lanes: () => [{ name, closure: null, concurrencyLimit: 1, requestsPerSecond: 1 }],
  };
  relay.watch(source);
  relay.eventsConsumed.inc({ partition: "0" }, 0);
  const gateway = createGatewayMetrics(async () => true);
  return [...(await samplesOf(relay.registry)), ...(await samplesOf(gateway.registry))];
}

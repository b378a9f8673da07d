import { Counter, collectDefaultMetrics, Gauge, Histogram, type LabelValues, Registry } from "prom-client";
import { REJECT_REASONS } from "../events/event.ts";
import { createExposer } from "./exposition.ts";
import { addGauges, type MetricsSource } from "./gauges.ts";
import type { TraceIds } from "./tracing.ts";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const AGES = [0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400, 864_000];

export type Metrics = ReturnType<typeof createMetrics>;

/** All metrics of the relay, on a registry of their own. Labels hold partitions, environments and closed lists only. */
export function createMetrics(options: { version: string; environments: readonly string[] }) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  let source: MetricsSource = { partitions: () => [], environments: () => [], lanes: () => [] };

  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter({ name: `optout_${name}`, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: L[], buckets: number[]) =>
    new Histogram({ name: `optout_${name}`, help, labelNames, buckets, registers });
  /** Its buckets keep the trace of an observation, as an exemplar. */
  const tracedHistogram = (name: string, help: string, labelNames: string[], buckets: number[]) => {
    const options = { name: `optout_${name}`, help, labelNames, buckets, enableExemplars: true };
    // prom-client asks of the constructor's registries that they are OpenMetrics alone.
    const traced = new Histogram<string>({ ...options, registers: [] });
    registry.registerMetric(traced);
    return {
      zero: (labels: LabelValues<string>) => traced.zero(labels),
      observe: (labels: LabelValues<string>, value: number, exemplar?: TraceIds) =>
        traced.observe({ labels, value, exemplarLabels: { ...exemplar } }),
    };
  };

  addGauges(registry, () => source);
  new Gauge({
    name: "optout_build_info",
    help: "Always 1; the labels say which build this is.",
    labelNames: ["version", "node"],
    registers,
  }).set({ version: options.version, node: process.version }, 1);

  const metrics = {
    registry,
    watch(next: MetricsSource): void {
      source = next;
    },
    eventsConsumed: counter("events_consumed_total", "Records read from the events topic.", ["partition"]),
    eventsCompleted: counter("events_completed_total", "Events settled, by outcome.", ["outcome"]),
    eventsRejected: counter(
      "events_rejected_total",
      "Events rejected or refused, by reason; each is in the dead-letter topic.",
      ["reason"],
    ),
    batchesSealed: counter(
      "batches_sealed_total",
      "Batches sealed, by what cut them: entries, bytes, events or time; ledger: cut again after a restart or rebalance.",
      ["trigger"],
    ),
    batchEntries: histogram(
      "batch_entries",
      "Distinct phones in a sealed batch.",
      [],
      [0, 1, 5, 10, 25, 50, 100, 250, 500, 1000],
    ),
    deliveryAttempts: counter(
      "delivery_attempts_total",
      "Requests to an environment, by what came of them.",
      ["environment", "outcome"],
    ),
    deliverySeconds: tracedHistogram(
      "delivery_seconds",
      "Duration of one request to an environment, without waiting or backoff.",
      ["environment"],
      SECONDS,
    ),
    endToEndSeconds: tracedHistogram(
      "end_to_end_seconds",
      "From when the person asked (else when Kafka got the record) to the last environment's acknowledgement.",
      [],
      AGES,
    ),
    rateLimitWaitSeconds: histogram(
      "rate_limit_wait_seconds",
      "Time for which a request waited because this replica's share of the environment's quota was used up.",
      ["environment"],
      SECONDS,
    ),
    tokenRefreshes: counter("token_refreshes_total", "Access token requests, by outcome.", [
      "environment",
      "outcome",
    ]),
    offsetCommits: counter("offset_commits_total", "Offset commits, by outcome.", ["outcome"]),
    offsetsLost: counter(
      "offsets_lost_total",
      "Offsets that expired in Kafka before they were settled: opt-outs that may be lost. Must stay 0.",
      [],
    ),
    ledgersDiscarded: counter(
      "ledgers_discarded_total",
      "Commit metadata found that was foreign or damaged and treated as no ledger.",
      [],
    ),
    statusPublishFailures: counter(
      "status_publish_failures_total",
      "Failed attempts to publish results; each is retried.",
      [],
    ),
  };

  for (const outcome of ["delivered", "rejected", "partially_delivered"])
    metrics.eventsCompleted.inc({ outcome }, 0);
  for (const reason of REJECT_REASONS) metrics.eventsRejected.inc({ reason }, 0);
  for (const trigger of ["entries", "bytes", "events", "time", "ledger"])
    metrics.batchesSealed.inc({ trigger }, 0);
  for (const outcome of ["ok", "fenced", "failed"]) metrics.offsetCommits.inc({ outcome }, 0);
  for (const environment of options.environments) {
    metrics.deliverySeconds.zero({ environment });
    metrics.rateLimitWaitSeconds.zero({ environment });
    for (const outcome of [
      "acknowledged",
      "entries",
      "short",
      "refused",
      "unauthorized",
      "misconfigured",
      "unavailable",
      "error",
    ]) {
      metrics.deliveryAttempts.inc({ environment, outcome }, 0);
    }
    for (const outcome of ["ok", "refused", "failed"])
      metrics.tokenRefreshes.inc({ environment, outcome }, 0);
  }
  return { ...metrics, expose: createExposer(registry) };
}

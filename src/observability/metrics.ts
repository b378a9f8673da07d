import { Counter, collectDefaultMetrics, Gauge, Histogram, type LabelValues, Registry } from "prom-client";
import { REJECT_REASONS } from "../events/event.ts";
import { createExposer } from "./exposition.ts";
import { addGauges, type MetricsSource } from "./gauges.ts";
import type { TraceIds } from "./tracing.ts";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const AGES = [0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400, 864_000];

/** For an observation without a trace: there is one for each event. */
const NOTHING = {};

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
        traced.observe({ labels, value, exemplarLabels: exemplar === undefined ? NOTHING : { ...exemplar } }),
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
    eventsConsumed: counter(
      "events_consumed_total",
      "Records read from the events topic by this process, by partition. After a restart or rebalance those that weren't settled are read, and counted, again. Stays when the partition goes to another replica.",
      ["partition"],
    ),
    eventsCompleted: counter(
      "events_completed_total",
      "Events whose outcome was published to the status topic by this process: delivered to every environment, partially_delivered or rejected. If a restart or rebalance comes before the offset commit, the next owner publishes, and counts, it again.",
      ["outcome"],
    ),
    eventsRejected: counter(
      "events_rejected_total",
      "Events of the outcomes rejected and partially_delivered, by reason; each is in the dead-letter topic.",
      ["reason"],
    ),
    batchesSealed: counter(
      "batches_sealed_total",
      "Batches sealed by this process, by what cut them: number of entries, bytes or events, or time (batching.maxWait); ledger: a batch of an earlier owner, cut again after a restart or rebalance.",
      ["trigger"],
    ),
    batchEntries: histogram(
      "batch_entries",
      "Entries (distinct phones) in each sealed batch, those cut again after a restart or rebalance too; 0 if all its events were rejected.",
      [],
      [0, 1, 5, 10, 25, 50, 100, 250, 500, 1000],
    ),
    deliveryAttempts: counter(
      "delivery_attempts_total",
      "Requests with entries that an environment was sent by this process, retries too, by what came of them; error: no answer. Those broken off by a rebalance or shutdown aren't counted.",
      ["environment", "outcome"],
    ),
    deliverySeconds: tracedHistogram(
      "delivery_seconds",
      "Seconds from sending one request with entries to its answer or failure, without waiting or backoff.",
      ["environment"],
      SECONDS,
    ),
    endToEndSeconds: tracedHistogram(
      "end_to_end_seconds",
      "Seconds from when the person asked (else when Kafka got the record) to the last environment's acknowledgement, of events that every environment took.",
      [],
      AGES,
    ),
    rateLimitWaitSeconds: histogram(
      "rate_limit_wait_seconds",
      "Seconds that each request waited because this replica's share of the environment's quota was used up; 0 if it didn't.",
      ["environment"],
      SECONDS,
    ),
    tokenRefreshes: counter(
      "token_refreshes_total",
      "Requests for an access token, by outcome: ok, refused (the credentials are wrong) or failed (no token now).",
      ["environment", "outcome"],
    ),
    offsetCommits: counter(
      "offset_commits_total",
      "Offset commits by this process, each for all its partitions that changed, by outcome: ok, fenced (the group had rebalanced) or failed.",
      ["outcome"],
    ),
    offsetsLost: counter(
      "offsets_lost_total",
      "Offsets whose records Kafka deleted before they were settled: opt-outs that may be lost. Must stay 0.",
      [],
    ),
    ledgersDiscarded: counter(
      "ledgers_discarded_total",
      "Partitions taken over whose commit metadata was foreign or damaged, and so no ledger; batches sent before may be sent again under other keys.",
      [],
    ),
    statusPublishFailures: counter(
      "status_publish_failures_total",
      "Failed attempts to publish statuses and dead letters; each is retried.",
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

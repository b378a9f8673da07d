import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { createExposer } from "../observability/exposition.ts";
import { VERSION } from "../version.ts";
import { REASONS, statusOf } from "./answers.ts";

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** These end a connection before there is a request, or are for other paths. */
const NOT_OF_OPT_OUT = [404, 408, 431];

export type GatewayMetrics = ReturnType<typeof createGatewayMetrics>;

/** All metrics of the gateway, on a registry of their own. Labels hold closed lists only. `isReady` is asked at each scrape. */
export function createGatewayMetrics(isReady: () => Promise<boolean>) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: "optout_build_info",
    help: "Always 1; the labels say which build this is.",
    labelNames: ["version", "node"],
    registers,
  }).set({ version: VERSION, node: process.version }, 1);
  new Gauge({
    name: "optout_gateway_ready",
    help: "1 while Kafka can take opt-outs from this gateway, 0 while it can't; what /readyz answers, by the same question.",
    registers,
    async collect() {
      this.set(Number(await isReady()));
    },
  });

  const metrics = {
    registry,
    requests: new Counter({
      name: "optout_gateway_requests_total",
      help: "Requests to /opt-out by the status they were answered with; aborted: the caller was gone before.",
      labelNames: ["status"],
      registers,
    }),
    rejected: new Counter({
      name: "optout_gateway_rejected_total",
      help: "Requests to /opt-out that were not taken, and connections that brought none, by reason.",
      labelNames: ["reason"],
      registers,
    }),
    droppedConnections: new Counter({
      name: "optout_gateway_connections_dropped_total",
      help: "Connections closed at once because too many were open.",
      registers,
    }),
    repeats: new Counter({
      name: "optout_gateway_repeats_total",
      help: "Requests answered 202 without another record, because Kafka has the one of their Idempotency-Key.",
      registers,
    }),
    requestSeconds: new Histogram({
      name: "optout_gateway_request_seconds",
      help: "Seconds from the headers of a request to /opt-out to the end of its answer.",
      buckets: SECONDS,
      registers,
    }),
    inFlight: new Gauge({
      name: "optout_gateway_requests_in_flight",
      help: "Requests to /opt-out that are being answered.",
      registers,
    }),
    produceSeconds: new Histogram({
      name: "optout_gateway_produce_seconds",
      help: "Seconds from handing a record to the Kafka client to all in-sync replicas having it (acknowledged), or to the client giving up (failed).",
      labelNames: ["outcome"],
      buckets: SECONDS,
      registers,
    }),
    recordsInFlight: new Gauge({
      name: "optout_gateway_records_in_flight",
      help: "Records handed to the Kafka client that it has neither delivered nor given up.",
      registers,
    }),
  };

  for (const status of new Set([202, ...REASONS.map(statusOf)])) {
    if (!NOT_OF_OPT_OUT.includes(status)) metrics.requests.inc({ status: String(status) }, 0);
  }
  metrics.requests.inc({ status: "aborted" }, 0);
  for (const reason of REASONS) metrics.rejected.inc({ reason }, 0);
  for (const outcome of ["acknowledged", "failed"]) metrics.produceSeconds.zero({ outcome });
  return { ...metrics, expose: createExposer(registry) };
}

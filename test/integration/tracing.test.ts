import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, describe, test } from "node:test";
import type { Message } from "kafkajs";
import { findFreePorts } from "../../src/local-stack/ports.ts";
import { commandEnv } from "../support/command-env.ts";
import { readyGateway } from "../support/gateway.ts";
import { readTopic } from "../support/kafka.ts";
import { type CollectedSpan, startOtlpCollector } from "../support/otlp-collector.ts";
import { finished, runCli } from "../support/process.ts";
import { createScenario, optOut, optOuts, phoneOf, type Scenario } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { assertOneOutcomeEach, entryRequests } from "../support/verify.ts";
import { scrape } from "../support/views.ts";
import { waitFor } from "../support/wait.ts";

interface Ids {
  traceId: string;
  spanId: string;
}

const newIds = (): Ids => ({
  traceId: randomBytes(16).toString("hex"),
  spanId: randomBytes(8).toString("hex"),
});
const traceparentOf = ({ traceId, spanId }: Ids): string => `00-${traceId}-${spanId}-01`;
const traced = (message: Message, ids: Ids): Message => ({
  ...message,
  headers: { traceparent: traceparentOf(ids), tracestate: `phone=${phoneOf(0)}` },
});

const statusRecords = ({ kafka, admin, config }: Scenario) => readTopic(kafka, admin, config.topics.status);
const headerOf = (
  headers: Readonly<Record<string, unknown>> | undefined,
  name: string,
): string | undefined => (headers?.[name] === undefined ? undefined : String(headers[name]));

const named = (spans: readonly CollectedSpan[], name: string): CollectedSpan[] =>
  spans.filter((span) => span.name === name);

describe("traces", () => {
  after(releaseStack);

  test("a batch's span links to its events, its requests and its statuses are within it, and both carry it on", async () => {
    await using collector = await startOtlpCollector();
    await using scenario = await createScenario({ partitions: 1, batching: { maxEntries: 3 } });
    const { simulator, environments, config } = scenario;
    simulator.setFaults("us-west", { rejectPhones: [phoneOf(1)] });
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: "100" };
    const relay = await scenario.startRelay({
      env,
      change: (input) => {
        input.logging = { level: "debug", phoneHashSecret: "a key for hashes" };
      },
    });
    const ids = [newIds(), newIds()] as const;
    await scenario.produce([traced(optOut(0), ids[0]), traced(optOut(1), ids[1]), optOut(2)]);
    await scenario.allSettled();
    relay.kill("SIGTERM");
    assert.equal((await relay.exit).code, 0);
    const { spans } = collector;

    const [batch, ...others] = named(spans, `process ${config.topics.events}`);
    assert.ok(batch);
    assert.deepEqual(others, []);
    assert.equal(batch.service, "optout-relay");
    assert.equal(batch.kind, 5);
    assert.equal(batch.parentSpanId, "");
    assert.equal(batch.isError, false);
    assert.deepEqual(batch.attributes, {
      "messaging.system": "kafka",
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.destination.name": config.topics.events,
      "messaging.destination.partition.id": "0",
      "messaging.consumer.group.name": config.kafka.groupId,
      "messaging.batch.message_count": 3,
      "optout.batch.first_offset": 0,
      "optout.batch.last_offset": 2,
      "optout.batch.entries": 3,
      "optout.batch.trigger": "entries",
    });
    assert.deepEqual(
      batch.links,
      ids.map((each, offset) => ({
        ...each,
        traceState: "",
        attributes: { "messaging.kafka.offset": offset },
      })),
    );

    for (const environment of environments) {
      const attempts = named(spans, `POST ${environment}`);
      const requests = entryRequests(simulator, environment);
      assert.equal(attempts.length, requests.length);
      for (const { traceparent, status, entries } of requests) {
        const span = attempts.find((each) => traceparent === traceparentOf(each));
        assert.ok(span, "the environment got the context of the very request");
        assert.equal(span.traceId, batch.traceId);
        assert.equal(span.parentSpanId, batch.spanId);
        assert.equal(span.kind, 3);
        assert.equal(span.attributes["http.response.status_code"], status);
        assert.equal(span.attributes["optout.environment"], environment);
        assert.equal(span.attributes["optout.batch.entries"], entries);
        assert.equal(span.isError, status !== 201);
        assert.equal(span.attributes["error.type"], status === 201 ? undefined : String(status));
        assert.ok(span.startedAt >= batch.startedAt && span.endedAt <= batch.endedAt);
      }
    }

    const [send] = named(spans, `send ${config.topics.status}`);
    assert.equal(send?.parentSpanId, batch.spanId);
    for (const { headers } of await statusRecords(scenario)) {
      assert.equal(headerOf(headers, "traceparent"), send && traceparentOf(send));
    }

    const lines = relay.logs().filter((line) => line.batch === "0:0-2");
    assert.ok(lines.length >= 1 + 3 * environments.length);
    for (const line of lines) assert.equal(line.trace_id, batch.traceId, JSON.stringify(line));
    const refused = lines.filter(({ level }) => level === "warn");
    assert.equal(refused.length, 1);
    assert.deepEqual(refused[0]?.refusedBy, ["us-west"]);
    assert.equal(refused[0]?.maskedPhone, `+*********${phoneOf(1).slice(-2)}`);
    const settled = lines.find(({ offset, level }) => offset === 1 && level === "warn");
    assert.match(String(settled?.phoneHash), /^[0-9a-f]{16}$/);
  });

  test("retries, cut connections and a crash: each request has its span, and the next owner links to the events again", async () => {
    await using collector = await startOtlpCollector();
    await using scenario = await createScenario({ partitions: 1, batching: { maxEntries: 10 } });
    const { simulator, config } = scenario;
    simulator.setFaults("us-west", { errorRate: 1 });
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: "50" };
    const relay = await scenario.startRelay({ env });
    const ids = newIds();
    await scenario.produce(optOuts(0, 10).map((message) => traced(message, ids)));
    await waitFor("us-west to be asked twice, and to be told of it", () =>
      named(collector.spans, "POST us-west").some(
        (span) => span.attributes["http.request.resend_count"] === 1,
      ),
    );
    const unavailable = named(collector.spans, "POST us-west");
    for (const span of unavailable) {
      assert.equal(span.isError, true);
      assert.equal(span.attributes["error.type"], String(span.attributes["http.response.status_code"]));
    }
    relay.kill("SIGKILL");
    await relay.exit;
    const before = new Set(collector.spans.map(({ traceId }) => traceId));
    simulator.setFaults("us-west", { dropAfterApply: 1 });
    const next = await scenario.startRelay({ env });
    await waitFor("a cut connection", () =>
      named(collector.spans, "POST us-west").some((span) => span.attributes["optout.outcome"] === "error"),
    );
    simulator.setFaults("us-west", {});
    await scenario.allSettled();
    next.kill("SIGTERM");
    await next.exit;
    const batches = named(collector.spans, `process ${config.topics.events}`);
    assert.equal(batches.length, 1, "the crash took the first one with it");
    const [batch] = batches;
    assert.ok(batch !== undefined && !before.has(batch.traceId));
    assert.equal(batch.attributes["optout.batch.trigger"], "ledger");
    assert.deepEqual(
      batch.links.map(({ traceId, spanId }) => ({ traceId, spanId })),
      [ids],
      "one link for a context, however many events have it",
    );
    const retried = named(collector.spans, "POST us-west").filter(({ traceId }) => traceId === batch.traceId);
    assert.ok(retried.length > 1);
    for (const span of retried) assert.equal(span.parentSpanId, batch.spanId);
    assert.equal(
      named(collector.spans, "POST production").some(({ traceId }) => traceId === batch.traceId),
      false,
    );
  });

  test("what is under way when the partitions go elsewhere is told as abandoned", async () => {
    await using collector = await startOtlpCollector();
    await using scenario = await createScenario({ partitions: 1 });
    const { simulator, config } = scenario;
    simulator.setFaults("us-west", { outage: true });
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: "50" };
    await scenario.startRelay({ env });
    await scenario.produce(optOuts(0, 50));
    await waitFor("the others to have it", () => simulator.entries("eu-central").length === 50);
    const joining = await scenario.startRelay({ env, wait: false });
    const abandoned = await waitFor("the rebalance to end the span", () =>
      named(collector.spans, `process ${config.topics.events}`).find(
        (span) => span.attributes["optout.abandoned"] === true,
      ),
    );
    assert.equal(abandoned.attributes["messaging.batch.message_count"], 50);
    simulator.setFaults("us-west", {});
    await scenario.allSettled();
    await assertOneOutcomeEach(scenario, 50);
    joining.kill("SIGTERM");
    await joining.exit;
  });

  test("unless an exporter is configured nothing is sent along but the event's own context, in its status", async () => {
    await using scenario = await createScenario({ partitions: 1, batching: { maxEntries: 2 } });
    const relay = await scenario.startRelay();
    const ids = newIds();
    await scenario.produce([traced(optOut(0), ids), optOut(1)]);
    await scenario.allSettled();
    assert.deepEqual(
      entryRequests(scenario.simulator, "production").map(({ traceparent }) => traceparent),
      [null],
    );
    const headers = (await statusRecords(scenario)).map((record) => record.headers);
    assert.deepEqual(
      headers.map((each) => headerOf(each, "traceparent")),
      [traceparentOf(ids), undefined],
    );
    for (const each of headers) assert.equal(headerOf(each, "tracestate"), undefined);
    assert.equal(JSON.stringify(relay.logs()).includes("trace_id"), false);
  });

  test("from the caller of the gateway to the environment: every span leads to the next", async () => {
    await using collector = await startOtlpCollector();
    await using scenario = await createScenario({ partitions: 1, batching: { maxWait: "50ms" } });
    const { config } = scenario;
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: "50" };
    await scenario.startRelay({ env });
    await using gateway = runCli(["gateway"], {
      env: {
        ...env,
        OTEL_SERVICE_NAME: "web-intake",
        ...commandEnv(config),
        OPTOUT_GATEWAY__PORT: "0",
      },
    });
    const url = await readyGateway(gateway);
    const caller = newIds();
    const response = await fetch(`${url}/opt-out`, {
      method: "POST",
      headers: { "content-type": "application/json", traceparent: traceparentOf(caller) },
      body: JSON.stringify({ phone: phoneOf(0), source: "web" }),
    });
    assert.equal(response.status, 202);
    await scenario.allSettled();
    const batch = await waitFor(
      "the batch's span",
      () => named(collector.spans, `process ${config.topics.events}`)[0],
    );
    const send = await waitFor(
      "the gateway's span",
      () => named(collector.spans, `send ${config.topics.events}`)[0],
    );
    const [request] = named(collector.spans, "POST /opt-out");
    assert.equal(request?.service, "web-intake");
    assert.equal(request.parentSpanId, caller.spanId);
    assert.equal(request.attributes["http.response.status_code"], 202);
    assert.equal(send.traceId, caller.traceId);
    assert.equal(send.parentSpanId, request.spanId);
    assert.deepEqual(
      batch.links.map(({ traceId, spanId }) => ({ traceId, spanId })),
      [{ traceId: caller.traceId, spanId: send.spanId }],
    );
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.match(metrics, /optout_gateway/);
  });

  test("a collector that is away harms nothing: opt-outs go on, one line says so, and the relay ends in time", async () => {
    await using scenario = await createScenario({ partitions: 1, batching: { maxEntries: 5 } });
    const [nowhere] = await findFreePorts(1);
    const relay = await scenario.startRelay({
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${nowhere}`,
        OTEL_BSP_SCHEDULE_DELAY: "20",
        OTEL_EXPORTER_OTLP_TIMEOUT: "200",
      },
    });
    await scenario.produce(optOuts(0, 100));
    await scenario.allSettled();
    await waitFor("a line about it", () =>
      relay.logs().some(({ msg }) => msg.startsWith("traces can't be exported")),
    );
    await scenario.produce(optOuts(100, 200));
    await scenario.allSettled();
    assert.equal((await scrape(relay)).value("optout_events_completed_total", { outcome: "delivered" }), 200);
    relay.kill("SIGTERM");
    assert.equal((await relay.exit).code, 0);
    assert.equal(relay.logs().filter(({ level }) => level !== "info" && level !== "debug").length, 1);
    assert.equal(relay.stderr(), "");
  });

  test("a protocol that isn't there ends the start with its name and the remedy", async () => {
    await using cli = runCli(["relay"], {
      env: {
        OPTOUT_KAFKA__BROKERS: "127.0.0.1:9",
        OPTOUT_ENVIRONMENTS__0__NAME: "production",
        OPTOUT_ENVIRONMENTS__0__BASE_URL: "http://127.0.0.1:9",
        OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_ID: "id",
        OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET: "secret",
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4317",
        OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
      },
    });
    assert.equal(await finished(cli), 1);
    assert.match(cli.stderr(), /OTEL_EXPORTER_OTLP_PROTOCOL is "grpc": expected "http\/protobuf"/);
    assert.doesNotMatch(cli.stderr(), /\n {4}at /);
  });
});

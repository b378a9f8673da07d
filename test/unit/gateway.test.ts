import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { OptoutError } from "../../src/errors.ts";
import { createGateway } from "../../src/gateway/gateway.ts";
import { createLogger } from "../../src/observability/logger.ts";
import { waitFor } from "../support/wait.ts";
import { bodyOf, configWith, exchange, gate, gatewayWith, optOut } from "./gateway-fixture.ts";

test("202 comes only once Kafka has the event", async () => {
  const kafka = gate();
  await using setup = await gatewayWith({ send: () => kafka.opened });
  let answered = false;
  const response = setup.post(optOut, { "idempotency-key": "call-7" }).then((result) => {
    answered = true;
    return result;
  });
  await fetch(`${setup.gateway.url}/livez`);
  assert.equal(answered, false);
  kafka.open();
  const result = await response;
  assert.equal(result.status, 202);
  assert.deepEqual(await result.json(), { status: "queued", phone: "+12125550123", eventId: "call-7" });
  assert.deepEqual(setup.sent, [
    {
      topic: "events",
      key: "+12125550123",
      value: { eventId: "call-7", phone: "+12125550123", source: "web" },
    },
  ]);
});

test("a form gets the same answer", async () => {
  await using setup = await gatewayWith();
  const response = await setup.post("phone=2125550123&source=ivr", {
    "content-type": "application/x-www-form-urlencoded",
  });
  assert.equal(response.status, 202);
  assert.equal(setup.sent.length, 1);
});

test("an invalid phone is 400 with the reason, and reaches no topic", async () => {
  await using setup = await gatewayWith();
  const response = await setup.post({ phone: "555-0123", source: "web" });
  assert.equal(response.status, 400);
  const { status, reason, detail } = await bodyOf(response);
  assert.equal(status, "rejected");
  assert.equal(reason, "invalid_phone");
  assert.equal(typeof detail, "string");
  assert.deepEqual(setup.sent, []);
});

test("keys are asked for when there are any, in either header", async () => {
  await using setup = await gatewayWith({ gateway: { apiKeys: ["first", "second"] } });
  const refused = await setup.post(optOut);
  assert.equal(refused.status, 401);
  assert.match(refused.headers.get("www-authenticate") ?? "", /^Bearer/);
  assert.equal((await setup.post(optOut, { "x-api-key": "firs" })).status, 401);
  assert.equal((await setup.post(optOut, { authorization: "Basic second" })).status, 401);
  assert.equal((await setup.post(optOut, { "x-api-key": "second" })).status, 202);
  assert.equal((await setup.post(optOut, { authorization: "Bearer first" })).status, 202);
  assert.equal((await fetch(`${setup.gateway.url}/livez`)).status, 200);
});

test("a stranger is refused before the body is looked at", async () => {
  await using setup = await gatewayWith({ gateway: { apiKeys: ["first"] } });
  assert.equal((await setup.post("x".repeat(20_000))).status, 401);
  assert.equal((await setup.post("<x/>", { "content-type": "text/xml" })).status, 401);
});

test("other methods are 405, other paths 404, other types 415, large bodies 413", async () => {
  await using setup = await gatewayWith();
  for (const method of ["GET", "PUT", "DELETE", "HEAD"]) {
    const response = await fetch(`${setup.gateway.url}/opt-out`, { method });
    assert.equal(response.status, 405, method);
    assert.equal(response.headers.get("allow"), "POST");
  }
  assert.equal((await fetch(`${setup.gateway.url}/other`)).status, 404);
  const xml = await setup.post("<phone/>", { "content-type": "text/xml" });
  assert.equal(xml.status, 415);
  assert.equal((await bodyOf(xml)).reason, "unsupported_media_type");
  const large = await setup.post({ ...optOut, note: "x".repeat(16 * 1024) });
  assert.equal(large.status, 413);
  assert.equal((await bodyOf(large)).reason, "too_large");
  assert.equal((await setup.post("")).status, 400);
  assert.equal((await fetch(`${setup.gateway.url}/opt-out`, { method: "POST" })).status, 400);
  assert.deepEqual(setup.sent, []);
});

test("503 with Retry-After when Kafka refuses", async () => {
  await using setup = await gatewayWith({
    send: () => Promise.reject(new OptoutError("kafka_unreachable", "no brokers")),
  });
  const response = await setup.post(optOut);
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("retry-after"), "5");
  assert.equal((await bodyOf(response)).reason, "kafka_unavailable");
  assert.match(setup.logs.join(""), /Kafka takes no opt-outs.*/);
});

test("503 when Kafka is too slow, and when too many wait for it, until it has caught up", async () => {
  const kafka = gate();
  await using setup = await gatewayWith({ send: () => kafka.opened, patience: 50, maxInFlight: 2 });
  const late = await Promise.all([setup.post(optOut), setup.post(optOut)]);
  assert.deepEqual(
    late.map(({ status }) => status),
    [503, 503],
  );
  const started = performance.now();
  assert.equal((await setup.post(optOut)).status, 503);
  assert.ok(performance.now() - started < 5_000);
  kafka.open();
  await waitFor("the late records to be sent", () => setup.sent.length === 2);
  assert.equal((await setup.post(optOut)).status, 202);
  assert.match(setup.logs.join(""), /Kafka takes opt-outs again/);
});

test("an outage is logged once, and no log line holds a number", async () => {
  await using setup = await gatewayWith({ send: () => Promise.reject(new Error("down")) });
  for (let n = 0; n < 5; n += 1) await setup.post(optOut);
  assert.equal(setup.logs.length, 1);
  assert.doesNotMatch(setup.logs.join(""), /2125550123|555-0123/);
});

test("no answer may be cached or taken for something else", async () => {
  await using setup = await gatewayWith();
  const { url } = setup.gateway;
  const answers = await Promise.all([
    setup.post(optOut),
    setup.post({}),
    ...["/opt-out", "/livez", "/readyz", "/metrics", "/openapi.json", "/nowhere", "/%"].map((path) =>
      fetch(url + path),
    ),
  ]);
  for (const { headers, url: asked } of answers) {
    assert.equal(headers.get("cache-control"), "no-store", asked);
    assert.equal(headers.get("x-content-type-options"), "nosniff", asked);
  }
});

test("an encoded body is refused for what it is", async () => {
  await using setup = await gatewayWith();
  const response = await setup.post(optOut, { "content-encoding": "gzip" });
  assert.equal(response.status, 415);
  assert.match(String((await bodyOf(response)).detail), /Content-Encoding/);
  assert.equal((await setup.post(optOut, { "content-encoding": "identity" })).status, 202);
});

test("what isn't HTTP is answered with the reason, and never quoted", async () => {
  await using setup = await gatewayWith();
  const { url } = setup.gateway;
  const answers = [
    await exchange(url, ["2125550123\r\n\r\n"]),
    await exchange(url, [`GET /livez HTTP/1.1\r\nhost: x\r\nx: ${"2125550123".repeat(2_000)}\r\n\r\n`]),
    await (await fetch(`${url}/%2125550123%`)).text(),
  ];
  assert.match(answers[0] ?? "", /^HTTP\/1\.1 400 Bad Request\r\n.*"reason":"bad_request"/s);
  assert.match(answers[1] ?? "", /^HTTP\/1\.1 431 .*"reason":"headers_too_large"/s);
  assert.match(answers[2] ?? "", /"reason":"bad_request"/);
  assert.doesNotMatch(answers.join(""), /2125550123/);
  assert.deepEqual(await setup.metric("optout_gateway_rejected_total"), [
    '{reason="bad_request"} 1',
    '{reason="headers_too_large"} 1',
  ]);
});

test("bytes behind a whole request don't take the place of its answer, which is the last of the connection", async () => {
  const kafka = gate();
  await using setup = await gatewayWith({ send: () => kafka.opened });
  const body = JSON.stringify(optOut);
  const head = `POST /opt-out HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
  const records = () => setup.metric("optout_gateway_records_in_flight");
  const steps = [
    () => waitFor("the record to be under way", async () => (await records()).length === 1),
    async () => kafka.open(),
  ];
  const pieces = [`${head}\r\n\r\n${body}xx`, "more"];
  const answer = await exchange(setup.gateway.url, pieces, async () => {
    await steps.shift()?.();
  });
  assert.match(answer, /^HTTP\/1\.1 202 .*connection: close.*"status":"queued"/is);
  assert.equal(answer.match(/HTTP\/1\.1/g)?.length, 1);
  assert.equal(setup.sent.length, 1);
  assert.deepEqual(await setup.metric("optout_gateway_rejected_total"), []);
  assert.deepEqual(await setup.metric("optout_gateway_requests_total"), ['{status="202"} 1']);
});

test("a body that breaks before its end is answered for what it is, and nothing of it is taken", async () => {
  await using setup = await gatewayWith();
  const head =
    "POST /opt-out HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
  const answer = await exchange(setup.gateway.url, [`${head}2\r\n{}\r\nzz\r\n`]);
  assert.match(answer, /^HTTP\/1\.1 400 .*"reason":"bad_request"/s);
  assert.deepEqual(setup.sent, []);
});

test("readiness tells strangers no more than that, and the log why; liveness doesn't depend on Kafka", async () => {
  let reason: string | undefined;
  let now = 0;
  await using setup = await gatewayWith({
    checkKafka: async () => {
      if (reason !== undefined) throw new OptoutError("kafka_unreachable", reason);
    },
    now: () => now,
  });
  const ready = async () => {
    now += 2_000;
    const response = await fetch(`${setup.gateway.url}/readyz`);
    return { code: response.status, ...(await bodyOf(response)) };
  };
  const logged = () =>
    setup.logs
      .splice(0)
      .map((line) => JSON.parse(line))
      .map(({ level, msg, reason: why }) => [level, msg, why]);
  const unavailable = { code: 503, status: "unavailable", reason: "Kafka can't take opt-outs now" };

  reason = "Can't reach Kafka at kafka:9092.";
  assert.deepEqual([await ready(), await ready()], [unavailable, unavailable]);
  assert.deepEqual(logged(), [["info", "not ready", reason]], "it is starting");
  assert.equal((await fetch(`${setup.gateway.url}/livez`)).status, 200);
  reason = undefined;
  assert.deepEqual([await ready(), await ready()], Array(2).fill({ code: 200, status: "ok" }));
  assert.deepEqual(logged(), [["info", "ready again", undefined]]);
  reason = "Can't reach Kafka at kafka:9092.";
  assert.deepEqual([await ready(), await ready()], [unavailable, unavailable]);
  assert.deepEqual(logged(), [["warn", "not ready", reason]]);
});

test("closing lets a request that is under way finish, and takes no other", async () => {
  const kafka = gate();
  const under = gate();
  const setup = await gatewayWith({
    send: () => {
      under.open();
      return kafka.opened;
    },
  });
  const response = setup.post(optOut);
  await under.opened;
  const closed = setup.gateway.close();
  const { port } = new URL(setup.gateway.url);
  await waitFor("the port to be closed", () => isClosed(Number(port)));
  kafka.open();
  assert.equal((await response).status, 202);
  await closed;
});

test("a request that is half there when the gateway stops is taken, and its connection ends with the answer", async () => {
  await using setup = await gatewayWith();
  const { url, port } = { url: setup.gateway.url, port: Number(new URL(setup.gateway.url).port) };
  const body = JSON.stringify(optOut);
  const halves = [
    "POST /opt-out HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n",
    `content-length: ${body.length}\r\n\r\n${body}`,
  ];
  let closed: Promise<void> | undefined;
  const answer = await exchange(url, halves, async () => {
    if (closed !== undefined) return;
    // The first half has arrived when what is sent after it has been answered.
    await fetch(`${url}/livez`);
    closed = setup.gateway.close();
    await waitFor("the port to be closed", () => isClosed(port));
  });
  assert.match(answer, /^HTTP\/1\.1 202 .*connection: close/is);
  await closed;
  assert.equal(setup.sent.length, 1);
});

const isClosed = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(false);
    });
    socket.on("error", () => resolve(true));
  });

test("a port that is taken is told by the key to change", async () => {
  await using setup = await gatewayWith();
  const { port } = new URL(setup.gateway.url);
  const second = createGateway({
    config: configWith({ port: Number(port) }),
    producer: { send: async () => {} },
    logger: createLogger({ level: "silent", format: "json" }),
    checkKafka: async () => {},
  });
  await assert.rejects(second, (error: unknown) => {
    assert.ok(error instanceof OptoutError);
    assert.equal(error.code, "configuration");
    assert.match(error.message, /can't listen on 127\.0\.0\.1:\d+.*gateway\.port/);
    return true;
  });
});

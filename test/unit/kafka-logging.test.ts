import assert from "node:assert/strict";
import { test } from "node:test";
import { logLevel } from "kafkajs";
import { createLogBridge, kafkaLogLevel } from "../../src/kafka/logging.ts";
import { createLogger } from "../../src/observability/logger.ts";

function bridge(level = "trace") {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger({ level, format: "json" }, { write: (line) => lines.push(JSON.parse(line)) });
  let now = 0;
  const log = createLogBridge(logger, () => now)(logLevel.DEBUG);
  const say = (kafkaLevel: logLevel, message: unknown, extra: Record<string, unknown> = {}) =>
    log({
      namespace: "n",
      level: kafkaLevel,
      label: "",
      log: { timestamp: "", message: message as string, ...extra },
    });
  const pass = (milliseconds: number) => {
    now += milliseconds;
  };
  return { lines, say, pass, levels: () => lines.map(({ level: shown }) => shown) };
}

test("what every healthy start and rebalance brings is no warning", () => {
  const { say, levels } = bridge();
  say(logLevel.INFO, "Consumer has joined the group");
  say(logLevel.ERROR, "Response GroupCoordinator(key: 10, version: 2)", {
    error: "The group coordinator is not available",
  });
  say(logLevel.ERROR, "Response Metadata(key: 3, version: 6)", {
    error: "There is no leader for this topic-partition as we are in the middle of a leadership election",
  });
  say(logLevel.WARN, "The group is rebalancing, re-joining", { groupId: "g" });
  say(logLevel.ERROR, "Response Heartbeat(key: 12, version: 3)", {
    error: "The group is rebalancing, so a rejoin is needed",
  });
  say(logLevel.ERROR, "Failed to send messages: This server does not host this topic-partition", {
    retryCount: 0,
  });
  assert.deepEqual(levels(), Array(6).fill("debug"));
});

test("a passing condition that doesn't pass becomes a warning", () => {
  const { say, levels } = bridge();
  const message = "Failed to send messages: This server is not the leader for that topic-partition";
  for (let retryCount = 0; retryCount <= 3; retryCount += 1) say(logLevel.ERROR, message, { retryCount });
  assert.deepEqual(levels(), ["debug", "debug", "debug", "warn"]);
});

test("real trouble is a warning, once a minute however often it comes back", () => {
  const { say, pass, lines, levels } = bridge("info");
  const refused = () =>
    say(logLevel.ERROR, "Connection error: connect ECONNREFUSED 10.0.0.1:9092", { broker: "a:9092" });
  for (let n = 0; n < 50; n += 1) refused();
  say(logLevel.ERROR, "Connection error: connect ECONNREFUSED 10.0.0.2:9092");
  assert.deepEqual(levels(), ["warn", "warn"]);
  pass(60_000);
  refused();
  assert.equal(lines.length, 3);
  assert.equal(lines[2]?.repeated, 49);
});

test("a complaint that kafkajs makes twice is shown once", () => {
  const { say, levels } = bridge();
  say(logLevel.ERROR, "Response SaslAuthenticate(key: 36, version: 1)", { error: "Authentication failed" });
  say(logLevel.ERROR, "SASL PLAIN authentication failed: Authentication failed", { broker: "a:9092" });
  assert.deepEqual(levels(), ["debug", "warn"]);
});

test("an error that kafkajs logs in place of a message is shown by its message", () => {
  const { say, lines } = bridge();
  say(logLevel.ERROR, new Error("no token"), { retryCount: 0 });
  say(logLevel.ERROR, "Connection error: SSL alert number 42\n");
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ["no token", "Connection error: SSL alert number 42"],
  );
});

test("payloads and stacks stay out of the log", () => {
  const { say, lines } = bridge();
  say(logLevel.DEBUG, "Response Fetch", {
    payload: "+12125550123",
    data: "+12125550123",
    stack: "at",
    broker: "a:1",
  });
  say(logLevel.ERROR, "Crash", { stack: "+12125550123", groupId: "g" });
  assert.equal(lines.length, 2);
  assert.doesNotMatch(JSON.stringify(lines), /2125550123|stack/);
  assert.equal(lines[0]?.level, "trace");
  assert.equal(lines[1]?.groupId, "g");
});

test("kafkajs is asked for no more than the logger shows", () => {
  const at = (level: string) => kafkaLogLevel(createLogger({ level, format: "json" }, { write: () => {} }));
  assert.equal(at("info"), logLevel.WARN);
  assert.equal(at("debug"), logLevel.INFO);
  assert.equal(at("trace"), logLevel.DEBUG);
});

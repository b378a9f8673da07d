import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { createLogger, type LoggingOptions, silentLogger } from "../../src/observability/logger.ts";

function capture(options: Partial<LoggingOptions> = {}) {
  const lines: string[] = [];
  const destination = new Writable({
    write(line, _encoding, done) {
      lines.push(String(line));
      done();
    },
  });
  const logger = createLogger({ level: "info", format: "json", ...options }, destination);
  return { logger, lines };
}

test("a line is JSON with level by name, time in ISO 8601 and message, and nothing of the machine", () => {
  const { logger, lines } = capture();
  logger.warn({ environment: "us-west" }, "lane closed");
  const line: unknown = JSON.parse(lines[0] ?? "");
  assert.ok(typeof line === "object" && line !== null && "time" in line);
  assert.match(String(line.time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(line, { level: "warn", time: line.time, environment: "us-west", msg: "lane closed" });
});

test("the level decides what is written", () => {
  const { logger, lines } = capture({ level: "warn" });
  logger.info("no");
  logger.warn("yes");
  logger.error("yes");
  assert.equal(lines.length, 2);
});

test("should a secret or a phone get that far, it is not written", () => {
  const { logger, lines } = capture();
  logger.info(
    {
      auth: { clientSecret: "hunter2", accessKeySecret: "hunter2" },
      sasl: { password: "hunter2" },
      headers: { authorization: "Bearer hunter2" },
      gateway: { apiKeys: ["hunter2"] },
      event: { phone: "+12125550123" },
    },
    "everything at once",
  );
  logger.info({ phone: "+12125550123", password: "hunter2", token: "hunter2" }, "at the top");
  assert.equal(lines.length, 2);
  assert.doesNotMatch(lines.join(""), /hunter2|2125550123/);
});

test("text is for people: a line, and one for each field", () => {
  const { logger, lines } = capture({ format: "text" });
  logger.info({ environment: "us-west" }, "lane open again");
  const text = lines.join("");
  assert.match(text, /INFO.*lane open again\n +environment: "us-west"/);
  assert.throws(() => JSON.parse(text));
});

test("the silent logger writes nothing at any level", (t) => {
  const written = t.mock.method(process.stdout, "write", () => true);
  const logger = silentLogger();
  for (const level of ["trace", "debug", "info", "warn", "error", "fatal"] as const) logger[level]("x");
  assert.equal(written.mock.callCount(), 0);
  written.mock.restore();
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { OptoutError } from "../../src/errors.ts";
import { createKafka } from "../../src/kafka/client.ts";
import { silentLogger } from "../../src/observability/logger.ts";

const config = {
  brokers: ["localhost:9092"],
  clientId: "c",
  groupId: "g",
  ssl: false,
  sessionTimeout: 10_000,
};

test("a certificate file that can't be read is a matter of configuration, told by its key", () => {
  const create = () =>
    createKafka({ ...config, ssl: { caFile: "/nowhere/ca.pem", rejectUnauthorized: true } }, silentLogger());
  assert.throws(create, (error: unknown) => {
    assert.ok(error instanceof OptoutError);
    assert.equal(error.code, "configuration");
    assert.match(error.message, /kafka\.ssl\.caFile.*"\/nowhere\/ca\.pem": there is no such file/);
    return true;
  });
});

test("creating a producer prints no advice about partitioners, and nothing is connected", (t) => {
  const printed = t.mock.method(console, "warn", () => {});
  const producer = createKafka(config, silentLogger()).producer();
  assert.equal(typeof producer.send, "function");
  assert.equal(printed.mock.callCount(), 0);
});

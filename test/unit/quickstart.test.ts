import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { test } from "node:test";
import { loadConfig, parseConfig } from "../../src/config/load.ts";
import { configurationOf, writeConfiguration } from "../../src/quickstart/configuration.ts";
import { createProgress } from "../../src/quickstart/progress.ts";

function output(isTTY: boolean) {
  let written = "";
  const write = (text: string | Uint8Array): boolean => {
    written += String(text);
    return true;
  };
  return { out: { isTTY, write }, written: () => written };
}

const failing = () => Promise.reject(new Error("it broke"));

test("the file for the other commands says what the quickstart runs with, and goes with its folder", async (t) => {
  const configuration = configurationOf({
    brokers: ["127.0.0.1:9092", "127.0.0.1:9093"],
    registryUrl: "http://127.0.0.1:8081",
    environments: [{ name: "production", baseUrl: "http://127.0.0.1:9099/production" }],
    prefix: "quickstart-1-",
  });
  const file = await writeConfiguration(configuration);
  t.after(() => file.remove());
  const loaded = loadConfig({ file: file.path, env: {} });
  assert.deepEqual(loaded, parseConfig(configuration));
  assert.equal(loaded.kafka.groupId, "quickstart-1-optout-relay");
  assert.equal(loaded.topics.events, "quickstart-1-opt-out-events");
  await file.remove();
  assert.equal(existsSync(dirname(file.path)), false);
});

test("a step that fails is shown as failed, unless it was stopped", async () => {
  const failed = output(false);
  await assert.rejects(createProgress(failed.out).step("Kafka", failing), /it broke/);
  assert.equal(failed.written(), "  ✗ Kafka\n");
  for (const isTTY of [false, true]) {
    const stopped = output(isTTY);
    const progress = createProgress(stopped.out, AbortSignal.abort());
    await assert.rejects(progress.step("Kafka", failing), /it broke/);
    assert.doesNotMatch(stopped.written(), /✗/);
  }
});

test("without a terminal the count isn't printed before there is something to count", () => {
  const plain = output(false);
  createProgress(plain.out).count("0 sent, 0 settled");
  assert.equal(plain.written(), "");
  const terminal = output(true);
  createProgress(terminal.out).count("0 sent, 0 settled");
  assert.match(terminal.written(), /0 sent, 0 settled/);
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { silentLogger } from "../../src/observability/logger.ts";
import { createMetrics } from "../../src/observability/metrics.ts";
import { createPhoneMask } from "../../src/observability/phone-mask.ts";
import { createResultPublisher } from "../../src/relay/result-publisher.ts";
import { sealedBatch } from "../../src/relay/sealed-batch.ts";
import { createStatusEncoder } from "../../src/results/status.ts";
import { build, optOut, phoneOf, recordAt } from "./batching-arbitraries.ts";

const sealedOf = (events: number) => {
  const decoded = optOut({ phone: phoneOf(1) });
  const inputs = Array.from({ length: events }, (_, offset) => ({
    record: recordAt(offset),
    decoded,
    now: 0,
  }));
  return sealedBatch(build(inputs), 1);
};

describe("result publisher", () => {
  test("presses from so many waiting events on until about half of them are published", async () => {
    const published: ((done: boolean) => void)[] = [];
    const putAside: (() => void)[] = [];
    const results = createResultPublisher({
      publisher: {
        publish: (write, _signal, onAside = () => {}) =>
          new Promise((resolve) => {
            putAside.push(onAside);
            published.push((done) => {
              write();
              resolve(done);
            });
          }),
      },
      context: {
        topics: { events: "events", status: "status", deadLetter: "dead" },
        environments: ["production"],
        encoder: createStatusEncoder({ registry: null, topic: "status" }),
      },
      metrics: createMetrics({ version: "0", environments: ["production"] }),
      maskPhone: createPhoneMask(),
      logger: silentLogger(),
      onFatal: (error) => assert.fail(error),
      onPublished: () => {},
    });
    const { signal } = new AbortController();
    const batches = Array.from({ length: 5 }, () => results.publish(sealedOf(500), signal, undefined));
    const pressure = results.pressure();
    assert.ok(pressure);
    let isRelieved = false;
    pressure.then(() => {
      isRelieved = true;
    });
    for (const index of [0, 1, 2]) {
      assert.equal(isRelieved, false);
      assert.equal(results.pressure(), pressure);
      published[index]?.(true);
      await batches[index];
    }
    assert.equal(results.pressure(), undefined);
    await pressure;
    // What is void presses nobody either.
    published[3]?.(false);
    published[4]?.(true);
    await batches[4];
    const refused = Array.from({ length: 5 }, () => results.publish(sealedOf(500), signal, undefined));
    const until = results.pressure();
    assert.ok(until);
    // What the topic refuses may stay so for days, and mustn't slow the other partitions down.
    for (const index of [5, 6, 7]) putAside[index]?.();
    await until;
    assert.equal(results.pressure(), undefined);
    for (const publish of published.slice(5)) publish(true);
    await Promise.all(refused);
    assert.equal(results.isPublishing, false);
    assert.equal(results.pressure(), undefined);
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
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
  test("tells the brake of the events whose results wait, but for refused ones", async () => {
    const published: ((done: boolean) => void)[] = [];
    const putAside: (() => void)[] = [];
    let waiting = 0;
    const add = (events: number): void => {
      waiting += events;
    };
    const results = createResultPublisher({
      brake: { add },
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
    const batches = [1, 2, 3].map((events) => results.publish(sealedOf(events), signal, undefined));
    assert.equal(waiting, 6);
    published[0]?.(true);
    await batches[0];
    assert.equal(waiting, 5);
    // What is void waits for nothing.
    published[1]?.(false);
    await nextTurn();
    assert.equal(waiting, 3);
    // What the topic refuses may stay so for days, and mustn't slow the other partitions down.
    putAside[2]?.();
    assert.equal(waiting, 0);
    assert.equal(results.isPublishing, true);
    published[2]?.(true);
    await batches[2];
    assert.equal(waiting, 0);
    assert.equal(results.isPublishing, false);
  });
});

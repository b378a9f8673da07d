import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createGatewayMetrics } from "../../src/gateway/metrics.ts";
import { createMetrics } from "../../src/observability/metrics.ts";
import { type Family, parseExposition } from "../support/prometheus.ts";

async function families(): Promise<[name: string, family: Family][]> {
  const relay = createMetrics({ version: "1", environments: ["production"] });
  const gateway = createGatewayMetrics(async () => true);
  const texts = await Promise.all([relay.registry.metrics(), gateway.registry.metrics()]);
  const all = texts.flatMap((text) => [...parseExposition(text).families]);
  return all.filter(([name]) => name.startsWith("optout_"));
}

const helpOf = async (name: string): Promise<string> =>
  (await families()).find(([each]) => each === name)?.[1].help ?? "";

/** https://prometheus.io/docs/practices/naming/#base-units: what takes their place, and what says them in words. */
const SCALED = /_(ms|milliseconds?|minutes?|hours?|percent|kilobytes|kib|mib)(_|$)/;
const IN_WORDS: Record<string, RegExp> = {
  timestamp_seconds: /^Unix time /,
  seconds: /^Seconds /,
  ratio: /^Share, 0 to 1, /,
  per_second: /^Requests per second /,
};

describe("what a metric's HELP tells a stranger", () => {
  test("is a sentence, and not another metric's", async () => {
    const helps = (await families()).map(([, { help }]) => help);
    assert.ok(helps.length > 30);
    for (const help of helps) assert.match(help, /^[A-Z0-9].{20,}\.$/);
    // The build's, of relay and gateway.
    assert.equal(new Set(helps).size, helps.length - 1);
  });

  test("says the unit that is in its name, which is a base unit", async () => {
    let seen = 0;
    for (const [name, { help }] of await families()) {
      assert.doesNotMatch(name, SCALED);
      const unit = Object.keys(IN_WORDS).find((each) => name.endsWith(`_${each}`));
      if (unit === undefined) continue;
      assert.match(help, IN_WORDS[unit] ?? /$^/, name);
      seen++;
    }
    assert.equal(seen, 10);
  });

  test("explains each value of a label whose values need it", async () => {
    const explained: [name: string, words: string[]][] = [
      [
        "optout_batches_sealed_total",
        ["entries", "bytes", "events", "time", "ledger: a batch of an earlier owner"],
      ],
      ["optout_token_refreshes_total", ["ok", "refused (", "failed ("]],
      ["optout_offset_commits_total", ["ok", "fenced (", "failed"]],
      ["optout_gateway_produce_seconds", ["(acknowledged)", "(failed)"]],
      [
        "optout_events_completed_total",
        ["delivered to every environment", "partially_delivered", "rejected"],
      ],
      ["optout_delivery_attempts_total", ["error: no answer"]],
    ];
    for (const [name, words] of explained) {
      const help = await helpOf(name);
      for (const word of words) assert.ok(help.includes(word), `${name}: ${word}`);
    }
  });

  test("of a partition: a counter stays when it goes to another replica, a gauge goes", async () => {
    assert.match(
      await helpOf("optout_events_consumed_total"),
      /read, and counted, again\. Stays when the partition goes to another replica\.$/,
    );
    const gauges = ["committed_offset", "consumer_lag", "ledger_used_ratio", "partition_paused"];
    for (const name of gauges) assert.match(await helpOf(`optout_${name}`), /a partition this replica owns/);
    assert.match(
      await helpOf("optout_committed_offset"),
      /Goes when the partition goes to another replica\.$/,
    );
  });
});

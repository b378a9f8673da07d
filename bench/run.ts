/**
 * What `npm run bench` runs, against one local Kafka. Arguments choose benches; `--only relay,plain-loop` contenders.
 * `--scale 0.05` tries them with fewer events, and writes no results, but into the folder that `--out` names.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../src/errors.ts";
import { startLocalStack } from "../src/local-stack/local-stack.ts";
import { testKafka } from "../test/support/kafka.ts";
import { growthBars, latencyBars, recoveryBars, throughputBars } from "./bars.ts";
import { contenders } from "./contenders/index.ts";
import { measureGrowth } from "./growth.ts";
import { measureIsolation } from "./isolation.ts";
import { measureLatency } from "./latency.ts";
import type { Bench } from "./measure.ts";
import { writePage } from "./page.ts";
import { measurePhone } from "./phone.ts";
import { measureQuota } from "./quota.ts";
import { measureRecovery } from "./recovery.ts";
import { type Measurement, report, say } from "./report.ts";
import { type Results, readResults, resultOf, writeResults } from "./results.ts";
import { startSink } from "./sink/sink.ts";
import { chosenOf, measureThroughput, type Scale } from "./throughput.ts";
import { measureTrace } from "./trace.ts";

type Run = (bench: Bench, scale: Scale, results: Results) => Promise<Measurement[]>;

/** One that measures, and one that holds it against what is asked of the relay. */
const bench =
  <Name extends keyof Results, T>(
    name: Name,
    measure: (bench: Bench, scale: Scale) => Promise<T>,
    bars: (measured: T) => Measurement[],
  ): Run =>
  async (bench, scale, results) => {
    const measured = await measure(bench, scale);
    Object.assign(results, { [name]: resultOf(measured, scale.repetitions) });
    return bars(measured);
  };

/** One that says itself whether a bar is met, and measures for long enough to do so once. */
const once =
  (
    name: "quota" | "trace" | "isolation" | "phone",
    measure: (which: number) => Measurement[] | Promise<Measurement[]>,
    of: number[],
  ): Run =>
  async (_bench, _scale, results) => {
    const measured: Measurement[] = [];
    for (const which of of) measured.push(...(await measure(which)));
    results[name] = resultOf(measured, 1);
    return measured;
  };

const BENCHES: Record<string, Run> = {
  throughput: bench("throughput", measureThroughput, throughputBars),
  latency: bench("latency", measureLatency, latencyBars),
  recovery: bench("recovery", measureRecovery, recoveryBars),
  growth: bench("growth", measureGrowth, growthBars),
  quota: once("quota", measureQuota, [1, 3]),
  trace: once("trace", measureTrace, [6, 1]),
  isolation: once("isolation", measureIsolation, [6, 1]),
  phone: once("phone", measurePhone, [50_000]),
};

/** Where to keep what is measured: a whole run's in the repository, another's only where it is told to. */
function filesOf(
  folder: string | undefined,
  isWhole: boolean,
): { results: string; page: string } | undefined {
  if (folder !== undefined)
    return { results: join(folder, "results.json"), page: join(folder, "performance.md") };
  return isWhole ? { results: "bench/results.json", page: "docs/performance.md" } : undefined;
}

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => stopping.abort(new Error(`stopped by ${signal}`)));
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scale: { type: "string", default: "1" },
    repetitions: { type: "string", default: "3" },
    only: { type: "string", default: "" },
    out: { type: "string" },
  },
});
const chosen = positionals.length > 0 ? positionals : Object.keys(BENCHES);
const unknown = chosen.filter((name) => BENCHES[name] === undefined);
if (unknown.length > 0) {
  say(`There is no bench ${unknown.join(", ")}; there are ${Object.keys(BENCHES).join(", ")}.`);
  process.exit(2);
}
const scale: Scale = {
  scale: Number(values.scale),
  repetitions: Number(values.repetitions),
  only: values.only.split(",").filter((name) => name !== ""),
};
const isWhole = scale.scale === 1 && scale.only.length === 0 && scale.repetitions >= 3;
const files = filesOf(values.out, isWhole);

for (const contender of chosenOf(contenders, scale)) await contender.prepare?.();
await using stack = await startLocalStack({
  registry: false,
  brokerConfig: {
    // Each run's topics go after it, and so does their disk.
    "log.segment.delete.delay.ms": "1000",
    // So that a process with several consumers gets its partitions once, as with Kafka's default of 3 s.
    "group.initial.rebalance.delay.ms": "500",
  },
  onProgress: say,
  signal: stopping.signal,
});
process.env.OPTOUT_TEST_BROKERS = stack.brokers.join(",");
process.env.OPTOUT_TEST_REGISTRY_URL = "";
const kafka = testKafka(stack.brokers);
const admin = kafka.admin();
await admin.connect();
const measurements: Measurement[] = [];
const failed: string[] = [];
const results = readResults(files?.results);
try {
  await using sink = await startSink();
  const shared = { brokers: stack.brokers, kafka, admin, sink, signal: stopping.signal };
  for (const name of chosen) {
    try {
      measurements.push(...((await BENCHES[name]?.(shared, scale, results)) ?? []));
    } catch (error) {
      if (stopping.signal.aborted) {
        say(messageOf(stopping.signal.reason));
        failed.push(name);
        break;
      }
      // The others can be measured all the same, and this one again by itself.
      say(`${name} failed: ${messageOf(error)}`);
      failed.push(name);
      continue;
    }
    if (files === undefined) continue;
    writeResults(results, files.results);
    writePage(results, files.page);
  }
} finally {
  await admin.disconnect();
}
if (files !== undefined) say(`${files.page} is written`);
report(measurements);
if (failed.length > 0) say(`failed, and left as they were: ${failed.join(", ")}`);
process.exitCode = failed.length === 0 && measurements.every(({ met }) => met) ? 0 : 1;

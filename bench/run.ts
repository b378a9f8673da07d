/** What `npm run bench` runs, against one local Kafka: measurements as ratios. Arguments choose: `quota`, `isolation`, `trace`, `phone`. */
import { startLocalStack } from "../src/local-stack/local-stack.ts";
import { measureIsolation } from "./isolation.ts";
import { measurePhone } from "./phone.ts";
import { measureQuota } from "./quota.ts";
import { type Measurement, report, say } from "./report.ts";
import { measureTrace } from "./trace.ts";

const BENCHES: Record<string, () => Promise<Measurement[]>> = {
  quota: async () => [...(await measureQuota(1)), ...(await measureQuota(3))],
  trace: async () => [...(await measureTrace(6)), ...(await measureTrace(1))],
  phone: async () => measurePhone(),
  isolation: async () => [...(await measureIsolation(6)), ...(await measureIsolation(1))],
};

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => stopping.abort(new Error(`stopped by ${signal}`)));
}

const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(BENCHES);
const unknown = chosen.filter((name) => BENCHES[name] === undefined);
if (unknown.length > 0) {
  say(`There is no bench ${unknown.join(", ")}; there are ${Object.keys(BENCHES).join(", ")}.`);
  process.exit(2);
}

await using stack = await startLocalStack({ onProgress: say, signal: stopping.signal });
process.env.OPTOUT_TEST_BROKERS = stack.brokers.join(",");
process.env.OPTOUT_TEST_REGISTRY_URL = stack.registryUrl ?? "";
const measurements: Measurement[] = [];
for (const name of chosen) measurements.push(...((await BENCHES[name]?.()) ?? []));
report(measurements);
process.exitCode = measurements.every(({ met }) => met) ? 0 : 1;

/**
 * `npm run soak -- --minutes 30 --backlog 2000000`: load with faults for so long, over a real Kafka, and then a backlog of
 * so many events while every environment is down. Tells in a table what the relay and the gateway held, whether that stayed
 * flat, and whether every opt-out arrived; exit code 1 if not. Not a part of `npm test`.
 */
import { parseArgs } from "node:util";
import { say } from "../bench/report.ts";
import { table } from "../src/table.ts";
import { measureBacklog } from "./soak/backlog.ts";
import { type Finding, measureLoad } from "./soak/load.ts";
import { releaseStack } from "./support/stack.ts";

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "5" }, backlog: { type: "string", default: "200000" } },
});

const findings: Finding[] = [];
try {
  if (Number(values.minutes) > 0) findings.push(...(await measureLoad(Number(values.minutes) * 60_000)));
  if (Number(values.backlog) > 0) findings.push(...(await measureBacklog(Number(values.backlog))));
} finally {
  await releaseStack();
}
const rows = findings.map(({ what, measured, bar, met }) => [what, measured, bar, met ? "met" : "MISSED"]);
say(`\n${table(["what", "measured", "bar", ""], rows)}`);
if (findings.some(({ met }) => !met)) process.exitCode = 1;

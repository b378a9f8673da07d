import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import fc from "fast-check";
import { SABOTAGES } from "./sabotage.ts";
import { simulate } from "./simulation.ts";
import { expiryPlan, failingPlan, fullPlan, type Plan, plan, rereadPlan } from "./steps.ts";
import { installVirtualTime } from "./virtual-time.ts";

export interface Exploration {
  runs: number;
  seed: number;
  /** Name of the one that the protocol is broken by. */
  sabotage?: string;
}

/** Of all plans. */
const any = fc.oneof({ weight: 8, arbitrary: plan }, rereadPlan, expiryPlan, fullPlan, failingPlan);

/**
 * Looks for a plan that violates something, and reports it. In a thread of its own, where node:test doesn't keep books of every
 * promise: that takes a third of the time.
 */
export async function explore(exploration: Exploration): Promise<string | undefined> {
  const worker = new Worker(new URL(import.meta.url), { workerData: exploration });
  const [report] = await once(worker, "message");
  return report;
}

async function look({ runs, seed, sabotage }: Exploration): Promise<string | undefined> {
  const sabotaged = SABOTAGES.find(({ name }) => name === sabotage);
  /** Of the first violation; what is made smaller stays one of this kind. */
  let kind = "";
  const violates = async (given: Plan) => {
    const violations = await simulate(given, sabotaged);
    const violation = violations.find((each) => sabotaged?.hurts.test(each) ?? each.startsWith(kind));
    if (violation === undefined) return;
    kind = violation.slice(0, violation.indexOf(":"));
    throw new Error(violation);
  };
  const property = fc.asyncProperty(sabotaged?.plans ?? any, violates);
  const details = await fc.check(property, { numRuns: runs, seed, endOnFailure: sabotaged !== undefined });
  if (!details.failed) return undefined;
  // What ends in an error of the model's own was not noticed by the judge.
  if (kind === "") throw details.errorInstance;
  return `${details.errorInstance}\n${fc.defaultReportMessage(details)}`;
}

if (!isMainThread) {
  installVirtualTime();
  parentPort?.postMessage(await look(workerData));
}

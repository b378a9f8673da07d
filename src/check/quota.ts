import { type Config, MAX_BATCH_WAIT_MS } from "../config/schema.ts";
import { formatDuration } from "../config/units.ts";
import { inWords, short } from "../sizing/describe.ts";
import { sizedEnvironments } from "../sizing/environments.ts";
import { type LateLoads, lateLoads, requestsByTime } from "../sizing/sizing.ts";
import { type Observation, ok, warning } from "./finding.ts";

type Parts = Pick<Config, "batching" | "environments">;

/** Whether the environments' quotas bear the batches that so many partitions cut by time. Pure. */
export function judgeQuotas({ batching, environments }: Parts, partitions: number): Observation[] {
  const plan = {
    ...{ batching, partitions, environments: sizedEnvironments(environments) },
    // Of little weight for this: what bounds a queue of small batches is the ledger.
    ...{ replicas: 1, eventBytes: 200, outageSeconds: 0 },
  };
  const most = short(requestsByTime(plan));
  const late = lateLoads(plan);
  if (late.length === 0) return [ok("quota", `batches cut by time take up to ${most} requests/s`)];
  const wait = formatDuration(batching.maxWait);
  return late.map((loads) =>
    warning(
      "quota",
      `${partitions} partitions and a batching.maxWait of ${wait} make up to ${most} requests/s, and ${loads.name} takes ${loads.quota}: ` +
        `under a steady load of ${short(loads.from)} to ${short(loads.to)} opt-outs/s, all are up to ${inWords(loads.queueSeconds)} late for good`,
      remedyOf(loads, partitions),
    ),
  );
}

function remedyOf({ quota }: LateLoads, partitions: number): string {
  const maxWait = Math.ceil((1_000 * partitions) / quota);
  return maxWait <= MAX_BATCH_WAIT_MS
    ? `Set batching.maxWait to ${formatDuration(maxWait)} or more, or use fewer partitions.`
    : "Use fewer partitions, or get a larger quota.";
}

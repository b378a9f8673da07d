import type { Simulator } from "../simulator/index.ts";
import { table } from "../table.ts";
import { type Outcomes, timesToHonour } from "./outcomes.ts";
import type { Sample } from "./samples.ts";

export interface Verdict {
  /** Phones that should be on a list and aren't, by environment; counts. */
  missing: { environment: string; count: number }[];
  /** Phones on a list that nobody asked for. */
  unexpected: { environment: string; count: number }[];
  /** Idempotency keys that were sent with two bodies. */
  reusedKeys: number;
  distinctPhones: number;
  ok: boolean;
}

/** Holds the lists of the simulator against what the samples ask for. */
export function judge(
  samples: readonly Sample[],
  simulator: Simulator,
  environments: readonly string[],
): Verdict {
  const wanted = new Set(samples.flatMap(({ expected }) => expected ?? []));
  const missing = [];
  const unexpected = [];
  let reusedKeys = 0;
  for (const environment of environments) {
    const listed = new Set(simulator.entries(environment).map(({ phone }) => phone));
    const absent = [...wanted].filter((phone) => !listed.has(phone)).length;
    const foreign = [...listed].filter((phone) => !wanted.has(phone)).length;
    if (absent > 0) missing.push({ environment, count: absent });
    if (foreign > 0) unexpected.push({ environment, count: foreign });
    reusedKeys += simulator.violations(environment).length;
  }
  const ok = missing.length === 0 && unexpected.length === 0 && reusedKeys === 0;
  return { missing, unexpected, reusedKeys, distinctPhones: wanted.size, ok };
}

const milliseconds = (value: number | undefined): string => (value === undefined ? "-" : `${value} ms`);

export function environmentsTable(
  simulator: Simulator,
  environments: readonly string[],
  outcomes: Outcomes,
): string {
  const head = ["environment", "entries", "requests", "retries", "p50", "p99"];
  const rows = environments.map((name) => {
    const requests = simulator.requests(name).filter(({ kind }) => kind === "entries");
    const keys = new Set(requests.map(({ key }) => key));
    const { p50, p99 } = timesToHonour(outcomes, name);
    return [
      name,
      String(simulator.entries(name).length),
      String(requests.length),
      String(requests.length - keys.size),
      milliseconds(p50),
      milliseconds(p99),
    ];
  });
  return table(head, rows, head.slice(1));
}

export function outcomesTable(outcomes: Outcomes): string {
  const counts = new Map<string, number>();
  for (const { outcome, reason } of outcomes.byStatusId.values()) {
    const label = `${outcome}\t${reason ?? ""}`;
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const rows = [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([label, count]) => [...label.split("\t"), String(count)]);
  return table(["outcome", "reason", "events"], rows, ["events"]);
}

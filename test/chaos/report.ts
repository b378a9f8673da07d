import { z } from "zod";
import { grouped } from "../../src/grouped.ts";
import type { Evidence, Violation } from "./evidence.ts";
import { lastAt } from "./history.ts";
import type { DeedName, Schedule } from "./schedule.ts";

const count = z.int().nonnegative();

/** What is counted of each schedule, and in what words the table has it. */
export const COUNTS = {
  events: "Events the group could read",
  requests: "Requests for entries",
  commits: "Offset commits",
  generations: "Generations of the group",
  processes: "Relay processes",
  kills: "kill -9 of a relay",
  terminations: "SIGTERM of a relay",
  freezes: "SIGSTOP and SIGCONT of a relay",
  zombies: "… that woke up after its partitions had gone elsewhere",
  brokerKills: "kill -9 of the broker",
  brokerRestarts: "Orderly restarts of the broker",
  registryFaults: "Registry down, hanging or restarted",
  faults: "Faults of environments",
  revocations: "Token revocations",
  committed: "Transactions committed",
  aborted: "Transactions aborted or left behind",
  changes: "Relay started with another configuration than before",
  repeats: "Requests repeated under the same key",
  replays: "… which the environment had applied already",
  late: "Requests on their way when their partition went elsewhere",
  repeatedStatuses: "Status records repeated with the same statusId",
} as const;

type CountName = keyof typeof COUNTS;
const countNames = Object.keys(COUNTS) as CountName[];

/** One schedule's line of the report. */
export const line = z.object({
  seed: z.int(),
  seconds: z.number(),
  lasts: count,
  counts: z.record(z.enum(countNames), count),
  violations: z.array(z.object({ invariant: z.int(), what: z.string() })),
});
export type Line = z.infer<typeof line>;

const doneTimes = ({ steps }: Schedule, name: DeedName): number =>
  steps.filter((step) => step.do === name).length;

function zombies({ processes, generations }: Evidence): number {
  const owned = (at: number, name: string): boolean =>
    [...(generations[lastAt(generations, at)]?.owners.values() ?? [])].includes(name);
  return processes.reduce(
    (sum, { name, frozen }) =>
      sum + frozen.filter(({ from, to }) => owned(from, name) && !owned(to, name)).length,
    0,
  );
}

function late({ requests, generations, topic }: Evidence): number {
  return requests.filter(({ sender, at, key }) => {
    if (sender === null) return false;
    const partition = Number(key.slice(topic.length + 1).split(":")[0]);
    return generations[lastAt(generations, at)]?.owners.get(partition) !== sender;
  }).length;
}

function changes({ steps }: Schedule): number {
  const last = new Map<number, string>();
  let changed = 0;
  for (const step of steps) {
    if (step.do !== "start") continue;
    const settings = JSON.stringify(step.settings);
    if ((last.get(step.relay) ?? settings) !== settings) changed++;
    last.set(step.relay, settings);
  }
  return changed;
}

export function lineOf(
  schedule: Schedule,
  evidence: Evidence,
  violations: readonly Violation[],
  seconds: number,
): Line {
  const { requests, statuses, processes } = evidence;
  const { steps } = schedule;
  const transactions = steps.flatMap((step) => (step.do === "transaction" ? [step.end] : []));
  const brokers = steps.flatMap((step) => (step.do === "broker" ? [step.how] : []));
  const keys = new Set(requests.map(({ environment, key }) => `${environment} ${key}`));
  const statusIds = new Set(statuses.map(({ status }) => status.statusId));
  const counts: Record<CountName, number> = {
    events: [...evidence.events.values()].flat().length,
    requests: requests.length,
    commits: [...evidence.commits.values()].flat().length,
    generations: evidence.generations.length,
    processes: processes.length,
    kills: doneTimes(schedule, "kill"),
    terminations: doneTimes(schedule, "terminate"),
    freezes: processes.flatMap(({ frozen }) => frozen).length,
    zombies: zombies(evidence),
    brokerKills: brokers.filter((how) => how === "kill").length,
    brokerRestarts: brokers.filter((how) => how === "restart").length,
    registryFaults: doneTimes(schedule, "registry"),
    faults: doneTimes(schedule, "faults"),
    revocations: doneTimes(schedule, "revoke"),
    committed: transactions.filter((end) => end === "commit").length,
    aborted: transactions.filter((end) => end !== "commit").length,
    changes: changes(schedule),
    repeats: requests.length - keys.size,
    replays: requests.filter(({ replayed }) => replayed).length,
    late: late(evidence),
    repeatedStatuses: statuses.length - statusIds.size,
  };
  return {
    seed: schedule.seed,
    seconds: Math.round(seconds * 10) / 10,
    lasts: schedule.lasts,
    counts,
    violations: [...violations],
  };
}

/** The table of docs/reliability.md. */
export function tableOf(lines: readonly Line[]): string {
  const sum = (name: CountName): number => lines.reduce((total, { counts }) => total + counts[name], 0);
  const violated = (invariant: number): number =>
    lines.flatMap(({ violations }) => violations).filter((each) => each.invariant === invariant).length;
  const rows = [
    ["Schedules", grouped(lines.length)],
    ...countNames.map((name) => [COUNTS[name], grouped(sum(name))]),
    ...[1, 2, 3, 4, 5, 6, 7, 8].map((number) => [
      `**Violations of invariant ${number}**`,
      `**${grouped(violated(number))}**`,
    ]),
    ["Processes that ended by a defect, and the like", grouped(violated(0))],
  ];
  return ["| | |", "| --- | ---: |", ...rows.map(([what, number]) => `| ${what} | ${number} |`)].join("\n");
}

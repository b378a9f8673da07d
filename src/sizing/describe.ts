import { grouped } from "../grouped.ts";
import { table } from "../table.ts";
import type { EnvironmentSize, Plan, Size } from "./sizing.ts";

/** Two digits are more than a plan is good for. */
export const short = (value: number): string => grouped(Number(value.toPrecision(value < 1_000 ? 2 : 3)));

const UNITS = [
  { seconds: 86_400, name: "days" },
  { seconds: 3_600, name: "h" },
  { seconds: 60, name: "min" },
] as const;

export const inWords = (seconds: number): string => {
  const unit = UNITS.find((each) => seconds >= 2 * each.seconds);
  return unit === undefined ? `${short(seconds)} s` : `${short(seconds / unit.seconds)} ${unit.name}`;
};

const environmentRow = (each: EnvironmentSize): string[] => [
  each.name,
  short(each.requestsPerSecond),
  short(each.quota),
  `${short((100 * each.requestsPerSecond) / each.quota)} %`,
  each.catchUpSeconds === null ? "never" : inWords(each.catchUpSeconds),
];

function problemOf({ name, verdict, quota, queueSeconds }: EnvironmentSize, plan: Plan): string[] {
  if (verdict === "enough") return [];
  if (verdict === "behind" || queueSeconds === null) {
    return [
      `${name} falls behind without end: even full batches need more than its quota. It needs more quota, or larger batches.`,
    ];
  }
  const entries = plan.eventsPerSecond / quota;
  const maxWait = Math.ceil(((entries - 1) * plan.partitions) / plan.eventsPerSecond);
  return [
    `${name} will be ${inWords(queueSeconds)} late, with full ledgers: batches cut by time are too many for its quota. Set batching.maxWait to ${maxWait}s or more, or use fewer partitions.`,
  ];
}

export const problemsOf = (size: Size, plan: Plan): string[] => [
  ...size.environments.flatMap((each) => problemOf(each, plan)),
  ...(plan.replicas > plan.partitions
    ? [`${plan.replicas - plan.partitions} replicas have nothing to do: there can be as many as partitions.`]
    : []),
];

/** For people; what isn't enough comes last. */
export function describeSize(size: Size, plan: Plan): string {
  const { batch, partition, replica } = size;
  const head = [
    "environment",
    "requests/s",
    "quota",
    "used",
    `after ${inWords(plan.outageSeconds)} out, caught up in`,
  ];
  const facts = [
    ["a batch", `${short(batch.entries)} entries, after ${inWords(batch.waitSeconds)}`],
    ["a partition", `${short(partition.eventsPerSecond)} events/s`],
    ["  its ledger", `${partition.ledgerBatches} batches`],
    ["  pending at most", `${short(partition.pendingEvents)} events, by ${partition.bound}`],
    ["  others run ahead", `for ${inWords(partition.aheadSeconds)}, when an environment is out`],
    [
      "a replica",
      `${replica.partitions} partitions at most, ${short(100 * replica.quotaShare)} % of each quota`,
    ],
    ["  pending records", `${short(replica.pendingBytes / 2 ** 20)} MiB of memory at most`],
  ];
  const problems = problemsOf(size, plan).map((problem) => `\n${problem}\n`);
  return `${table(head, size.environments.map(environmentRow), head.slice(1))}\n${table(["", ""], facts).trimStart()}${problems.join("")}`;
}

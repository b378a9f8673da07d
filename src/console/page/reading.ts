import { age, between, counted, listed } from "./format.ts";
import type { Problem } from "./headline.ts";
import type { EnvironmentView, PartitionView, State } from "./state.ts";

/** What stops a partition, though no environment needs to be out for it. */
type Kind = "room" | "schema" | "unrecorded" | "unpublished";

/** Partitions that have stood still at the same place for so long, in milliseconds, by kind. */
export type Standstills = Record<Kind, { partition: number; ms: number }[]>;

/** Reading may stop for a moment and go on; that isn't worth anybody's looking up. */
const BRIEF_MS = 5_000;
/** As long as this, a broker or an environment may well take. */
const LONG_MS = 30_000;

/** Where a partition stands: as long as that is the same, it is stuck; under load another batch is in its place by the next look. */
const placesOf = ({
  position,
  pausedFor,
  unrecordedFrom,
  unpublishedFrom,
}: PartitionView): [Kind, number | null][] => [
  ["room", pausedFor === "room" ? position : null],
  ["schema", pausedFor === "schema" ? position : null],
  ["unrecorded", unrecordedFrom],
  ["unpublished", unpublishedFrom],
];

/** Remembers from one state to the next what stands still, by the replica's clock. */
export function createStandstills(): (state: State) => Standstills {
  let before = new Map<string, string>();
  return ({ now, partitions }) => {
    const since = new Map<string, string>();
    const found: Standstills = { room: [], schema: [], unrecorded: [], unpublished: [] };
    for (const view of partitions) {
      for (const [kind, place] of placesOf(view)) {
        if (place === null) continue;
        const key = `${kind} ${view.partition} ${place}`;
        const from = before.get(key) ?? now;
        since.set(key, from);
        found[kind].push({ partition: view.partition, ms: between(from, now) });
      }
    }
    before = since;
    return found;
  };
}

/** Reading stops at a bound, and from then on an environment that is out holds up the others; or the relay itself is stuck. */
export function readingProblems(closed: readonly EnvironmentView[], standstills: Standstills): Problem[] {
  const lasting = (kind: Kind, ms: number) => standstills[kind].filter((each) => each.ms >= ms);
  return [
    ...problemOf("unrecorded", lasting("unrecorded", LONG_MS), {
      title: "sealed batches can't be recorded",
      message: "Each batch is recorded by a commit before it is sent, so nothing more goes out from there.",
      advice:
        "See the log for the broker's answer, and whether the brokers can be reached: optout-relay check.",
      runbook: "OptoutCommitsFailing",
    }),
    ...problemOf("unpublished", lasting("unpublished", LONG_MS), {
      title: "outcomes can't be published",
      message:
        "Every environment has answered, but there is no proof of it yet, so the offset isn't committed.",
      advice:
        "See the log for the broker's answer, and whether the topics can be written: optout-relay check.",
      runbook: "OptoutStatusPublishingFails",
    }),
    ...problemOf(
      "room",
      lasting("room", closed.length > 0 ? BRIEF_MS : LONG_MS),
      closed.length > 0 ? heldUpBy(closed) : FULL,
    ),
    ...problemOf("schema", lasting("schema", BRIEF_MS), {
      title: "waiting for a schema",
      message: "The schema registry doesn't give the schema of the next record.",
      advice: "See whether the registry can be reached, and whether it is the right one: optout-relay check.",
      runbook: "OptoutPartitionPausedLong",
    }),
  ];
}

type Words = Pick<Problem, "title" | "message" | "advice" | "runbook">;

const FULL: Words = {
  title: "not read any further",
  message: "As much as may be pending is pending, though no environment is out.",
  advice:
    "See below whose batches are unanswered: that environment is slow, or its quota too small (requestsPerSecond). If everybody has answered, the log says what keeps the batches from being settled.",
  runbook: "OptoutPartitionPausedLong",
};

function heldUpBy(closed: readonly EnvironmentView[]): Words {
  const title = "not read any further";
  const message = "As much as may be pending is pending, so by now the other environments wait too.";
  // Nothing is broken then: whoever paused them can end it.
  if (closed.every(({ closure }) => closure?.reason === "paused")) {
    const advice = `Resume ${listed(closed.map(({ name }) => name))}, or the others wait too.`;
    return { title, message, advice, runbook: "OptoutEnvironmentPaused" };
  }
  return {
    ...{ title, message, runbook: "OptoutPartitionPausedLong" },
    advice:
      "Have the environment above mended. If it will be out for long, the runbook says how the others can run further ahead.",
  };
}

function problemOf(key: Kind, stuck: readonly { partition: number; ms: number }[], words: Words): Problem[] {
  if (stuck.length === 0) return [];
  const longest = Math.max(...stuck.map(({ ms }) => ms));
  const numbers = stuck.map(({ partition }) => String(partition));
  const named =
    numbers.length > 6
      ? counted(numbers.length, "partition")
      : `Partition${numbers.length === 1 ? "" : "s"} ${listed(numbers)}`;
  const message = `${words.message} So for ${age(longest)} at least.`;
  return [{ key, level: "out", facts: [], ...words, title: `${named}: ${words.title}`, message }];
}

import { age, between, clock, count, counted, listed, people } from "./format.ts";
import { readingProblems, type Standstills } from "./reading.ts";
import type { EnvironmentView, State } from "./state.ts";

/** `out`: opt-outs wait for somebody or something; `watch`: not as it should be, or on purpose. */
export type Level = "well" | "watch" | "out";

export interface Problem {
  key: string;
  level: Level;
  title: string;
  facts: Fact[];
  message: string;
  advice: string;
  /** Heading in docs/runbook.md. */
  runbook: string | null;
}

export interface Fact {
  label: string;
  value: string;
}

export interface Headline {
  level: Level;
  /** Changes only with what it says: it is read out at each change. */
  text: string;
  detail: string;
  problems: Problem[];
}

/** A lane may close for a moment and open again; that isn't worth anybody's looking up. */
const BRIEF_MS = 2_000;
/** As the alert OptoutWaitingLong has it. */
const BEHIND_MS = 5 * 60_000;

const TITLES: Record<NonNullable<EnvironmentView["closure"]>["reason"], string> = {
  unavailable: "is out",
  token_unavailable: "is out: no token",
  retry_after: "asked to wait",
  credentials_refused: "refuses the credentials",
  unauthorized: "doesn't accept its token",
  misconfigured: "refuses access",
  short_answers: "doesn't say that it took the entries",
  entries_failed: "takes no entries",
  paused: "is paused",
};

/** Whether an environment is named above all: it takes nothing, and has done so for more than a moment. */
export const isOut = ({ closure }: EnvironmentView, now: string): boolean =>
  closure !== null && (closure.reason === "paused" || between(closure.since, now) >= BRIEF_MS);

/** Whether it takes opt-outs, but somebody has waited long for it. */
export const isBehind = ({ closure, oldestAskedAt }: EnvironmentView, now: string): boolean =>
  closure === null && oldestAskedAt !== null && between(oldestAskedAt, now) >= BEHIND_MS;

export function headlineOf(state: State, standstills: Standstills): Headline {
  const { now, environments } = state;
  const closed = environments.filter((each) => isOut(each, now));
  const behind = environments.filter((each) => isBehind(each, now));
  const replica = replicaProblems(state);
  const problems = [
    ...replica,
    ...closed.map((each) => closedProblem(each, state)),
    ...readingProblems(closed, standstills),
    ...behind.map((each) => behindProblem(each, state)),
  ];
  return {
    level: problems.reduce<Level>((worst, { level }) => (worst === "out" ? worst : level), "well"),
    text: textOf(state, replica, closed, problems),
    detail: detailOf(state, problems),
    problems,
  };
}

function textOf(
  { environments }: State,
  [first]: Problem[],
  closed: readonly EnvironmentView[],
  problems: readonly Problem[],
): string {
  if (first !== undefined) return first.title;
  const [one] = closed;
  if (closed.length > 1) return `${closed.length} of ${environments.length} environments take nothing`;
  if (one?.closure) return `${one.name} ${TITLES[one.closure.reason]}`;
  if (problems.length === 1 && problems[0] !== undefined) return problems[0].title;
  if (problems.length > 1) return `${problems.length} things to look at`;
  if (environments.length === 1) return "All is well: the environment takes opt-outs";
  return `All is well: the ${environments.length} environments take opt-outs`;
}

function detailOf({ now, environments, partitions, unread }: State, problems: readonly Problem[]): string {
  if (problems.length > 0) {
    // The replica itself, or the reading: then it isn't as usual for anybody.
    if (problems.some(({ facts }) => facts.length === 0)) return "";
    const others = environments.filter((each) => !isOut(each, now) && !isBehind(each, now));
    if (others.length === 0 || others.length === environments.length) return "";
    return `${listed(others.length > 4 ? [`the other ${others.length}`] : others.map(({ name }) => name))} ${
      others.length === 1 ? "takes" : "take"
    } opt-outs as usual.`;
  }
  if (partitions.length === 0) return "This replica owns no partition, so it has nothing to do.";
  const most = Math.max(...environments.map(({ waiting }) => waiting));
  const oldest = environments.flatMap(({ oldestAskedAt }) => oldestAskedAt ?? []).sort()[0];
  const rest = unread === 0 ? "" : `${counted(unread, "record")} not read yet`;
  if (most === 0 || oldest === undefined) return rest === "" ? "Nobody waits." : `${rest}.`;
  const onTheWay = `${people(most)} on the way, the first for ${age(between(oldest, now))}`;
  return rest === "" ? `${onTheWay}.` : `${onTheWay}, and ${rest}.`;
}

function replicaProblems({ live, ready, phase }: State): Problem[] {
  if (!live.ok) {
    return [
      {
        ...{ key: "live", level: "out", title: "This replica can't go on", facts: [], message: live.reason },
        ...{ advice: "It ends, and should be started again.", runbook: "OptoutReplicaDown" },
      },
    ];
  }
  if (ready.ok) return [];
  const stopping = phase === "draining" || phase === "stopped";
  const starting = phase === "starting";
  return [
    {
      ...{ key: "ready", level: "watch", facts: [] },
      title: stopping
        ? "This replica is stopping"
        : starting
          ? "This replica is starting"
          : "This replica waits for its consumer group",
      message: `Not ready: ${ready.reason}.`,
      advice: stopping
        ? "Other replicas take over what it leaves."
        : "If that lasts for minutes, see whether the brokers and the schema registry can be reached: optout-relay check.",
      runbook: stopping ? null : "OptoutNoPartitionsOwned",
    },
  ];
}

function closedProblem(environment: EnvironmentView, state: State): Problem {
  const { now } = state;
  const { name, closure } = environment;
  if (closure === null) throw new Error(`${name} isn't closed`);
  const { reason, since, until, message, advice, runbook } = closure;
  const next = until === null ? "when resumed" : nextTry(until, now);
  return {
    key: `closed ${name}`,
    level: reason === "paused" ? "watch" : "out",
    title: `${name} ${TITLES[reason]}`,
    facts: [
      { label: "since", value: clock(since, now) },
      { label: "for", value: age(between(since, now)) },
      ...waitingFacts(environment, state),
      { label: "next try", value: next },
    ],
    ...{ message, advice, runbook },
  };
}

export const nextTry = (until: string, now: string): string =>
  between(now, until) < 1_000 ? "now" : `in ${age(between(now, until))}`;

const waitingFacts = (environment: EnvironmentView, state: State): Fact[] => [
  { label: "people waiting", value: `${waitingText(environment, state)}${unreadText(state)}` },
  { label: "longest wait", value: longestWait(environment, state) },
];

/** Between two assignments of the group a replica knows of nobody who waits, and that isn't nobody. */
const isKnown = ({ phase }: State): boolean => phase === "active" || phase === "draining";

export const waitingText = ({ waiting }: EnvironmentView, state: State): string =>
  isKnown(state) ? count(waiting) : "?";

/** Once reading has stopped, who waits is counted no further; the records that come say how many more there may be. */
export const unreadText = (state: State): string =>
  isKnown(state) && state.unread > 0 ? `, and ${counted(state.unread, "record")} not read yet` : "";

export const longestWait = ({ oldestAskedAt }: EnvironmentView, state: State): string => {
  if (!isKnown(state)) return "?";
  return oldestAskedAt === null ? "–" : age(between(oldestAskedAt, state.now));
};

function behindProblem(environment: EnvironmentView, state: State): Problem {
  return {
    ...{ key: `behind ${environment.name}`, level: "watch", title: `${environment.name} is behind` },
    facts: waitingFacts(environment, state),
    message: "It takes opt-outs, but the first of them was asked for long ago.",
    advice:
      "Either the producer sent a backlog, or the quota is too small (requestsPerSecond), or one batch fails again and again: the log says why.",
    runbook: "OptoutWaitingLong",
  };
}

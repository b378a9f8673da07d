import { setTimeout as sleep } from "node:timers/promises";
import { createClock } from "./clock.ts";
import type { Places } from "./places.ts";
import { type Deed, describeStep, type Schedule, type Step } from "./schedule.ts";
import type { Stage } from "./stage.ts";
import type { Traffic } from "./traffic.ts";

/** What happened when, for people: milliseconds after the beginning. */
export type Timeline = string[];

export interface Play {
  stage: Stage;
  places: Places;
  traffic: Traffic;
  timeline: Timeline;
  /** Until when each environment took batches in part. */
  shortUntil: Map<string, number>;
}

/** The phones that an environment refuses from the beginning to the end, so that every event's outcome is certain. */
export function refusedPhones({ refused }: Schedule, traffic: Traffic, environment: string): string[] {
  const phones = (refused[environment] ?? []).flatMap((index) =>
    Object.values(traffic.event(index).meaning).flatMap((meaning) =>
      "wish" in meaning ? [meaning.wish.phone] : [],
    ),
  );
  return [...new Set(phones)];
}

export function setFaults(
  play: Play,
  environment: string,
  faults: Extract<Deed, { do: "faults" }>["faults"],
): void {
  const { stage, traffic, shortUntil } = play;
  const { simulator, schedule } = stage;
  if (Number(simulator.faults(environment).shortAck) > 0) shortUntil.set(environment, Date.now());
  simulator.setFaults(environment, {
    ...faults,
    rejectPhones: refusedPhones(schedule, traffic, environment),
  });
}

/** Does everything that the schedule says, each thing at its time, and resolves when all of it is done. */
export async function playSchedule(play: Play): Promise<void> {
  const { schedule } = play.stage;
  for (const environment of schedule.environments) setFaults(play, environment, {});
  const clock = createClock();
  const chains = new Map<string, Promise<void>>();
  const note = (what: string): void => {
    play.timeline.push(`${String(Math.round(clock.now())).padStart(6)} ms  ${what}`);
  };
  const perform = async (step: Step): Promise<void> => {
    note(`begins: ${describeStep(step).trim()}`);
    await doDeed(play, step);
    if (step.do === "start" && !step.hasty) await clock.hold(play.places.isActive(step.relay));
    note(`done:   ${describeStep(step).trim()}`);
  };
  for (const step of schedule.steps) {
    await clock.until(step.at);
    const chain = chainOf(step);
    const before = chain === undefined ? undefined : chains.get(chain);
    const performed = (before ?? Promise.resolve()).then(() => perform(step));
    chains.set(chain ?? `step ${chains.size}`, performed);
    // A failure is reported when all is waited for.
    performed.catch(() => {});
  }
  await Promise.all(chains.values());
}

/** What is done one after the other; undefined: whenever its time comes. */
function chainOf(step: Step): string | undefined {
  switch (step.do) {
    case "start":
    case "kill":
    case "terminate":
    case "freeze":
      return `relay ${step.relay}`;
    case "broker":
    case "registry":
      return step.do;
    case "produce":
    case "faults":
    case "revoke":
    case "transaction":
      return undefined;
  }
}

async function doDeed(play: Play, deed: Deed): Promise<void> {
  const { places, traffic, stage } = play;
  switch (deed.do) {
    case "start":
      return places.start(deed.relay, deed.settings);
    case "kill":
      return await places.end(deed.relay, "SIGKILL");
    case "terminate":
      return await places.end(deed.relay, "SIGTERM");
    case "freeze":
      return await places.freeze(deed.relay, deed.ms);
    case "broker":
      return await disturbBroker(stage, deed);
    case "registry":
      return await disturbRegistry(stage, deed);
    case "faults":
      return setFaults(play, deed.environment, deed.faults);
    case "revoke":
      return stage.simulator.revokeTokens(deed.environment);
    case "produce":
      return await traffic.produce(deed.from, deed.count);
    case "transaction":
      return await traffic.transact(deed);
  }
}

async function disturbBroker(
  { house: { stack } }: Stage,
  { how, ms }: Extract<Deed, { do: "broker" }>,
): Promise<void> {
  if (how === "kill") await stack.killBroker();
  else await stack.stopBroker();
  await sleep(ms);
  await stack.startBroker();
}

async function disturbRegistry(
  { house }: Stage,
  { how, ms }: Extract<Deed, { do: "registry" }>,
): Promise<void> {
  if (how === "restart") {
    await house.restartRegistry();
    return;
  }
  await house.proxy.become(how);
  await sleep(ms);
  await house.proxy.become("answers");
}

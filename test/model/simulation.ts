import type { Setting } from "./relay-process.ts";
import type { Plan, Step } from "./steps.ts";
import type { Log, Wish } from "./topic.ts";
import { randomFrom } from "./virtual-time.ts";
import { createWorld, type Process, type World, type WorldOptions } from "./world.ts";

const MAX_PROCESSES = 3;
/** A round is a tenth of a second; all must have come to its end after so many. */
const MAX_ROUNDS = 3_000;
const ROUND_MS = 100;
const HAPPENING_MS = 0.5;

const DATES = ["2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"];

const pick = <T>(list: readonly T[], random: () => number): T | undefined =>
  list[Math.floor(random() * list.length)];

function wishFrom(random: () => number, phones: number): Wish {
  const digits = `20155501${String(Math.floor(random() * phones) + 16)}`;
  const kind = random();
  if (kind < 0.1) return { kind: "invalid" };
  if (kind < 0.25) return { kind: "national", digits, phone: `+1${digits}` };
  const until = random() < 0.2 ? (pick(DATES, random) ?? null) : null;
  return { kind: "phone", phone: `+1${digits}`, until };
}

function produce(log: Log | undefined, count: number, random: () => number, phones: number): void {
  for (let left = count; left > 0; left--) {
    const gap = random() < 0.15 ? Math.floor(random() * 20) : 0;
    log?.append(random() < 0.12 ? null : wishFrom(random, phones), gap);
  }
}

/** Time passes, with everything that is due in it. What may happen does so in turns, and takes time. */
async function pass(world: World, milliseconds: number): Promise<void> {
  const until = world.now + milliseconds;
  for (let turn = 0; world.now < until; turn++) {
    const all = world.happenings();
    const next = all[turn % all.length];
    if (next === undefined) {
      world.moveTo(Math.min(until, world.nextDue()));
    } else {
      await world.run(next);
      world.moveTo(world.now + HAPPENING_MS);
    }
  }
}

async function happen(world: World, count: number, seed: number): Promise<void> {
  const random = randomFrom(seed);
  for (let left = count; left > 0; left--) {
    const next = pick(world.happenings(), random);
    if (next === undefined) {
      const due = world.nextDue();
      if (!Number.isFinite(due)) return;
      world.moveTo(due);
    } else {
      await world.run(next);
    }
  }
}

const isOver = ({ kafka }: World): boolean =>
  kafka.logs.every((log, partition) => {
    const { offset = log.start, metadata = "" } = kafka.commits.get(partition) ?? {};
    // kafkajs can't commit before it has had an event, so what comes after the last one may be left.
    return log.lastEvent < 0 || (offset > log.lastEvent && metadata === "");
  });

/** Time passes until nothing is lacking. */
async function goOn(
  world: World,
  setting: Setting,
  lack: () => string | undefined,
  violation: (lack: string) => string,
): Promise<void> {
  const { judge } = world;
  for (let round = 0; judge.violations.length === 0; round++) {
    const lacking = lack();
    if (lacking === undefined) return;
    if (round > MAX_ROUNDS) return judge.say(violation(lacking));
    if (world.processes().length === 0) await world.start(setting);
    await pass(world, ROUND_MS);
  }
}

/** All faults are mended, and everything must come to its end. */
async function finish(world: World, { setting, outage }: Plan): Promise<void> {
  for (const environment of world.environments.all.values()) environment.mode = "ok";
  for (const process of world.processes()) {
    process.state = "running";
    process.faults.commits.length = 0;
    process.faults.results.length = 0;
    process.faults.fetches.length = 0;
  }
  if (outage !== null) {
    const { name, mode } = outage;
    const environment = world.environments.all.get(name);
    if (environment !== undefined) environment.mode = mode;
    const lack = () => (isOver(world) ? undefined : world.judge.lacks(name));
    await goOn(world, setting, lack, (left) => `7: ${left}, though only ${name} is out`);
    if (environment !== undefined) environment.mode = "ok";
  }
  const left = () => (isOver(world) ? undefined : "something is left");
  await goOn(world, setting, left, () => "6: it doesn't come to its end");
  if (world.judge.violations.length === 0) world.judge.atEnd();
}

async function take(world: World, step: Step, { setting, phones }: Plan): Promise<void> {
  const living = world.processes();
  const processOf = (index: number): Process | undefined => living[index % Math.max(1, living.length)];
  switch (step.kind) {
    case "happen":
      return happen(world, step.count, step.seed);
    case "pass":
      if (step.busily) world.moveTo(world.now + step.milliseconds);
      else await pass(world, step.milliseconds);
      return;
    case "produce":
      produce(world.kafka.logs[step.partition], step.count, randomFrom(step.seed), phones);
      world.kafka.changed();
      return;
    case "start":
      if (living.length < MAX_PROCESSES) await world.start(setting);
      return;
    case "rebalance":
      return world.kafka.group.rebalance();
    case "environment": {
      const environment = world.environments.all.get(step.name);
      if (environment !== undefined) environment.mode = step.mode;
      return;
    }
    case "expire": {
      const log = world.kafka.logs[step.partition];
      log?.expire(log.start + Math.floor((log.end - log.start) * step.share));
      world.kafka.changed();
      return;
    }
    case "configure":
      return;
    case "restart":
      for (const process of living) world.crash(process, 1);
      await world.start(setting);
      return;
    default: {
      const process = processOf(step.process);
      if (process !== undefined) await afflict(world, process, step);
    }
  }
}

async function afflict(world: World, process: Process, step: Step & { process: number }): Promise<void> {
  switch (step.kind) {
    case "crash":
      return world.crash(process, step.arriving);
    case "cut":
      return world.cut(process, step.arriving);
    case "stop":
      if (process.state === "running" && !process.isStopping) await world.stop(process);
      return;
    case "suspend":
      process.state = "suspended";
      process.isDisturbed = true;
      return;
    case "resume":
      process.state = "running";
      return;
    case "commit fails":
      process.faults.commits.push(step.error);
      process.isDisturbed = true;
      return;
    case "results fail":
      process.faults.results.push(step.how);
      return;
    case "fetch fails":
      process.faults.fetches.push(step.error);
  }
}

/** Carries out a plan and brings everything to its end. Answers what was seen that must not be. */
export async function simulate(
  plan: Plan,
  options: Pick<WorldOptions, "sabotage" | "trace"> = {},
): Promise<readonly string[]> {
  const world = createWorld({ ...plan, ...options });
  let { setting } = plan;
  const { violations } = world.judge;
  await world.start(setting);
  for (const step of plan.steps) {
    options.trace?.(JSON.stringify(step));
    if ("setting" in step) setting = step.setting;
    await take(world, step, { ...plan, setting });
    if (violations.length > 0) return violations;
  }
  await finish(world, { ...plan, setting });
  for (const process of world.processes()) world.crash(process, 0);
  return violations;
}

import type { FaultsInput } from "../../src/simulator/index.ts";
import { createRandom, type Random } from "./random.ts";
import type { Deed, Schedule, Settings, Step } from "./schedule.ts";

const FIRST_ENVIRONMENTS = ["production", "us-west", "eu-central"];
/** The one that configurations may add later. */
const LATE_ENVIRONMENT = "sandbox";

/** A schedule is built by several hands that each add their steps. */
interface Draft {
  random: Random;
  lasts: number;
  sessionTimeout: number;
  steps: Step[];
  add(at: number, deed: Deed): void;
}

/** What faults an environment can have for a while. Each is a promise kept in the end: it heals. */
const FAULTS: readonly [(random: Random) => FaultsInput, ...((random: Random) => FaultsInput)[]] = [
  (random) => ({ latencyMs: random.int(20, 400), jitterMs: random.int(0, 400) }),
  (random) => ({ errorRate: random.int(1, 7) / 10, ...retryAfter(random) }),
  (random) => ({ dropAfterApply: random.int(1, 10) / 10 }),
  () => ({ dropAfterApply: true }),
  () => ({ outage: true }),
  (random) => ({ outage: "503", ...retryAfter(random) }),
  () => ({ latencyMs: 60_000 }),
  (random) => ({ requestsPerSecond: random.int(2, 15), ...retryAfter(random) }),
  (random) => ({ shortAck: random.int(1, 3) }),
  (random) => ({ tokenTtlSeconds: random.int(0, 2) }),
];

const retryAfter = (random: Random): FaultsInput => ({ retryAfter: random.pick([null, 0, 1, "soon"]) });

function addFaults({ random, lasts, add }: Draft, environment: string): void {
  for (let at = random.int(0, 3_000); at < lasts; ) {
    const faults = { ...random.pick(FAULTS)(random), ...(random.chance(0.3) && random.pick(FAULTS)(random)) };
    add(at, { do: "faults", environment, faults });
    at += random.int(500, 4_000);
    if (random.chance(0.6) && at < lasts) {
      add(at, { do: "faults", environment, faults: {} });
      at += random.int(300, 3_000);
    }
  }
  for (let left = random.int(0, 2); left > 0; left--) {
    add(random.int(500, lasts), { do: "revoke", environment });
  }
}

const sizes = (random: Random): Pick<Settings, "maxEntries" | "maxWait" | "maxPendingEntries"> => ({
  maxEntries: random.int(2, 40),
  maxWait: random.int(20, 400),
  maxPendingEntries: random.pick([60, 150, 1_000]),
});

function nextSettings(random: Random, current: Settings): Settings {
  const { environments } = current;
  const changed = random.chance(0.5)
    ? environments.includes(LATE_ENVIRONMENT)
      ? environments.slice(1)
      : [LATE_ENVIRONMENT, ...environments]
    : random.chance(0.3) && environments.length > 1
      ? environments.slice(0, -1)
      : environments;
  const region = random.chance(0.35) ? (current.region === "US" ? "GB" : "US") : current.region;
  return { ...sizes(random), region, environments: changed };
}

/** The configuration as it is changed over time; whoever starts takes the newest one. */
function drawSettings({ random, lasts }: Draft): (at: number) => Settings {
  const first: Settings = { ...sizes(random), region: "US", environments: FIRST_ENVIRONMENTS };
  const eras = [{ from: 0, settings: first }];
  if (random.chance(0.6)) {
    for (let at = random.int(1_500, 6_000); at < lasts; at += random.int(2_500, 8_000)) {
      eras.push({ from: at, settings: nextSettings(random, eras.at(-1)?.settings ?? first) });
    }
  }
  return (at) => eras.findLast(({ from }) => from <= at)?.settings ?? first;
}

/** A place's life: started, then killed, ended or frozen, again and again. */
function addLife(
  { random, lasts, sessionTimeout, add }: Draft,
  relay: number,
  settingsAt: (at: number) => Settings,
): void {
  let at = relay === 0 ? 0 : random.int(0, Math.floor(lasts / 2));
  add(at, { do: "start", relay, settings: settingsAt(at), hasty: false });
  for (at += random.int(1_500, 6_000); at < lasts; at += random.int(1_000, 5_000)) {
    const deed = random.pick(["kill", "kill", "terminate", "freeze", "freeze"]);
    if (deed === "freeze") {
      const ms = random.chance(0.65)
        ? sessionTimeout + random.int(300, 3_000)
        : random.int(50, sessionTimeout - 100);
      add(at, { do: "freeze", relay, ms });
      at += ms;
    } else {
      add(at, { do: deed, relay });
      at += random.int(0, 2_500);
      add(at, { do: "start", relay, settings: settingsAt(at), hasty: random.chance(0.25) });
    }
  }
}

/** Answers how many events there are. */
function addTraffic({ random, lasts, add }: Draft): number {
  const wanted = random.int(200, 1_500);
  let from = 0;
  const transact = random.chance(0.55);
  const burst = random.chance(0.3) ? Math.floor(wanted / 2) : 0;
  if (burst > 0) add(0, { do: "produce", from, count: burst });
  from += burst;
  const each = Math.max(1, Math.ceil((wanted - burst) / (lasts / 300)));
  for (let at = random.int(0, 500); at < lasts && from < wanted; at += random.int(50, 550)) {
    const count = Math.min(random.int(1, 2 * each), wanted - from);
    if (transact && random.chance(0.12)) {
      const end = random.pick(["commit", "commit", "abort", "abort", "abandon"]);
      add(at, { do: "transaction", from, count, ms: random.int(0, 2_000), end });
    } else {
      add(at, { do: "produce", from, count });
    }
    from += count;
  }
  return from;
}

function addInfrastructure({ random, lasts, add }: Draft, registry: boolean): void {
  if (random.chance(0.3)) {
    const at = random.int(2_000, lasts - 2_000);
    add(at, { do: "broker", how: random.pick(["kill", "restart"]), ms: random.int(0, 2_500) });
  }
  if (registry && random.chance(0.7)) {
    const how = random.pick(["down", "hangs", "restart"]);
    add(random.int(0, lasts - 1_000), { do: "registry", how, ms: random.int(200, 3_000) });
  }
}

/** About one event in a hundred names a phone that this environment refuses. */
function drawRefusals(random: Random, environments: readonly string[], events: number) {
  const isAny = random.chance(0.5);
  const drawn = environments.map((name) => {
    const count = isAny && random.chance(0.6) ? random.int(1, Math.ceil(events / 60)) : 0;
    return [name, Array.from({ length: count }, () => random.int(0, events - 1)).sort((a, b) => a - b)];
  });
  return Object.fromEntries(drawn);
}

export interface Length {
  /** Milliseconds, both included. */
  from: number;
  to: number;
}

const LONG: Length = { from: 8_000, to: 18_000 };
/** For a test among many others. */
export const SHORT: Length = { from: 5_000, to: 7_000 };

/** The schedule of a seed, the same for ever as long as this file doesn't change. */
export function generateSchedule(seed: number, length: Length = LONG): Schedule {
  const random = createRandom(seed);
  const draft: Draft = {
    random,
    lasts: random.int(length.from, length.to),
    sessionTimeout: random.int(20, 30) * 100,
    steps: [],
    add(at, deed) {
      draft.steps.push({ at, ...deed });
    },
  };
  const settingsAt = drawSettings(draft);
  for (let relay = 0, count = random.pick([1, 2, 2, 3, 3, 4]); relay < count; relay++) {
    addLife(draft, relay, settingsAt);
  }
  const used = draft.steps.flatMap((step) => (step.do === "start" ? step.settings.environments : []));
  const environments = [...new Set(used)];
  for (const environment of environments) if (random.chance(0.85)) addFaults(draft, environment);
  const registry = random.chance(0.35);
  addInfrastructure(draft, registry);
  const events = addTraffic(draft);
  return {
    seed,
    partitions: random.int(1, 4),
    sessionTimeout: draft.sessionTimeout,
    registry,
    requestsPerSecond: random.pick([100, 300, 1_000]),
    quotaRoom: random.pick([1, 1.2, 10]),
    environments,
    refused: drawRefusals(random, environments, events),
    events,
    steps: draft.steps.sort((a, b) => a.at - b.at),
    lasts: draft.lasts,
    witness: random.chance(0.4) ? random.pick(["production", "us-west", "eu-central"]) : undefined,
  };
}

import type { Deed, Schedule, Step } from "./schedule.ts";

/** Everything that a schedule may hold. */
export const INGREDIENTS = [
  "several relays",
  "kill -9 of a relay",
  "SIGTERM of a relay",
  "a relay ended while it starts",
  "a relay stopped for less than its session",
  "a relay stopped for longer than its session",
  "kill -9 of the broker",
  "orderly restart of the broker",
  "registry down",
  "registry that hangs",
  "registry restarted",
  "latency",
  "an environment that doesn't answer",
  "errors",
  "drop after apply",
  "connections cut",
  "503",
  "lower quota",
  "short acknowledgements",
  "short-lived tokens",
  "tokens revoked",
  "refused phones",
  "transaction committed",
  "transaction aborted",
  "transaction left behind",
  "batch sizes changed",
  "environment added",
  "environment removed",
  "region changed",
  "an environment that stays out to the end",
] as const;
export type Ingredient = (typeof INGREDIENTS)[number];

/** A latency that outlasts the request. */
const HANGS_FROM_MS = 10_000;

function ofFaults({ faults }: Extract<Deed, { do: "faults" }>): Ingredient[] {
  const { latencyMs = 0, errorRate = 0, dropAfterApply = false, outage, shortAck = false } = faults;
  const found: (Ingredient | false)[] = [
    latencyMs >= HANGS_FROM_MS && "an environment that doesn't answer",
    latencyMs > 0 && latencyMs < HANGS_FROM_MS && "latency",
    errorRate > 0 && "errors",
    dropAfterApply !== false && "drop after apply",
    outage === true && "connections cut",
    outage === "503" && "503",
    faults.requestsPerSecond !== undefined && "lower quota",
    shortAck !== false && "short acknowledgements",
    faults.tokenTtlSeconds !== undefined && "short-lived tokens",
  ];
  return found.filter((each) => each !== false);
}

function ofStep(step: Step, { sessionTimeout }: Schedule): Ingredient[] {
  switch (step.do) {
    case "kill":
      return ["kill -9 of a relay"];
    case "terminate":
      return ["SIGTERM of a relay"];
    case "freeze":
      return [
        step.ms > sessionTimeout
          ? "a relay stopped for longer than its session"
          : "a relay stopped for less than its session",
      ];
    case "broker":
      return [step.how === "kill" ? "kill -9 of the broker" : "orderly restart of the broker"];
    case "registry":
      return [
        ({ down: "registry down", hangs: "registry that hangs", restart: "registry restarted" } as const)[
          step.how
        ],
      ];
    case "faults":
      return ofFaults(step);
    case "revoke":
      return ["tokens revoked"];
    case "transaction":
      return [
        (
          {
            commit: "transaction committed",
            abort: "transaction aborted",
            abandon: "transaction left behind",
          } as const
        )[step.end],
      ];
    case "start":
      return step.hasty ? ["a relay ended while it starts"] : [];
    case "produce":
      return [];
  }
}

function ofChanges({ steps }: Schedule): Ingredient[] {
  const found: Ingredient[] = [];
  const starts = steps.flatMap((step) => (step.do === "start" ? [step.settings] : []));
  starts.forEach((settings, index) => {
    const before = starts[index - 1];
    if (before === undefined) return;
    const { environments } = before;
    if (settings.maxEntries !== before.maxEntries) found.push("batch sizes changed");
    if (settings.region !== before.region) found.push("region changed");
    if (settings.environments.some((name) => !environments.includes(name))) found.push("environment added");
    if (environments.some((name) => !settings.environments.includes(name))) found.push("environment removed");
  });
  return found;
}

export function ingredientsOf(schedule: Schedule): Set<Ingredient> {
  const places = new Set(schedule.steps.flatMap((step) => (step.do === "start" ? [step.relay] : [])));
  const found: (Ingredient | false)[] = [
    ...schedule.steps.flatMap((step) => ofStep(step, schedule)),
    ...ofChanges(schedule),
    places.size > 1 && "several relays",
    Object.values(schedule.refused).some((refused) => refused.length > 0) && "refused phones",
    schedule.witness !== undefined && "an environment that stays out to the end",
  ];
  return new Set(found.filter((each) => each !== false));
}

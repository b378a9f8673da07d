import type { FaultsInput } from "../../src/simulator/index.ts";

export type Region = "US" | "GB";

/** What differs between the configurations that relays of one schedule are started with. */
export interface Settings {
  maxEntries: number;
  /** Milliseconds. */
  maxWait: number;
  maxPendingEntries: number;
  region: Region;
  /** Names, in the configuration's order. */
  environments: readonly string[];
}

/** Something that happens to the relays, or around them. `relay`: a place for one process at a time, from 0 on. */
export type Deed =
  /** `hasty`: time goes on while it starts, so that it may be ended before it has begun. */
  | { do: "start"; relay: number; settings: Settings; hasty: boolean }
  | { do: "kill" | "terminate"; relay: number }
  /** SIGSTOP, and SIGCONT after so many milliseconds: a zombie, if that is longer than its session. */
  | { do: "freeze"; relay: number; ms: number }
  | { do: "broker"; how: "kill" | "restart"; ms: number }
  | { do: "registry"; how: "down" | "hangs" | "restart"; ms: number }
  | { do: "faults"; environment: string; faults: FaultsInput }
  | { do: "revoke"; environment: string }
  | { do: "produce"; from: number; count: number }
  /** `abandon`: its producer goes without a word, and the brokers abort it in the end. */
  | { do: "transaction"; from: number; count: number; ms: number; end: "commit" | "abort" | "abandon" };

export type DeedName = Deed["do"];

/** `at`: milliseconds after the beginning, not counting those in which a relay starts that isn't hasty. */
export type Step = { at: number } & Deed;

/** Everything that chance decides, made from the seed alone. When a step strikes on the inside can't be had again. */
export interface Schedule {
  seed: number;
  partitions: number;
  /** Milliseconds. */
  sessionTimeout: number;
  registry: boolean;
  /** Of the configured environments; the simulated ones allow `quotaRoom` times as much. */
  requestsPerSecond: number;
  quotaRoom: number;
  /** Names of all environments that some configuration has. */
  environments: readonly string[];
  /** By environment: of the events whose phones it refuses, the index. */
  refused: Readonly<Record<string, readonly number[]>>;
  /** Each event's index decides what it is, see `eventAt`. */
  events: number;
  steps: readonly Step[];
  /** Milliseconds. Afterwards all is mended. */
  lasts: number;
  /** Stays out at the end until the others have got everything that the bound allows: invariant 7. */
  witness: string | undefined;
}

const place = (relay: number): string => `relay ${relay}`;

function describeDeed(deed: Deed): string {
  switch (deed.do) {
    case "start": {
      const { maxEntries, maxWait, maxPendingEntries, region, environments } = deed.settings;
      const batching = `${maxEntries} entries, ${maxWait} ms, ${maxPendingEntries} pending`;
      return `start ${place(deed.relay)}${deed.hasty ? ", hastily" : ""}: ${batching}, ${region}, ${environments.join(" ")}`;
    }
    case "kill":
    case "terminate":
      return `${deed.do} ${place(deed.relay)}`;
    case "freeze":
      return `freeze ${place(deed.relay)} for ${deed.ms} ms`;
    case "broker":
    case "registry":
      return `${deed.do}: ${deed.how}, ${deed.ms} ms`;
    case "faults":
      return `faults of ${deed.environment}: ${JSON.stringify(deed.faults)}`;
    case "revoke":
      return `revoke the tokens of ${deed.environment}`;
    case "produce":
      return `produce ${deed.from} to ${deed.from + deed.count - 1}`;
    case "transaction": {
      const range = `${deed.from} to ${deed.from + deed.count - 1}`;
      return `transaction of ${range}, open for ${deed.ms} ms, then ${deed.end}`;
    }
  }
}

export const describeStep = (step: Step): string =>
  `${String(step.at).padStart(6)} ms  ${describeDeed(step)}`;

/** The whole schedule, for people. */
export function describeSchedule(schedule: Schedule): string {
  const { steps, refused, ...rest } = schedule;
  const refusals = Object.entries(refused).map(([name, indices]) => `${name} ${indices.join(" ")}`);
  const head = Object.entries(rest).map(([name, value]) => `${name}: ${String(value)}`);
  return [...head, `refused: ${refusals.join("; ")}`, ...steps.map(describeStep)].join("\n");
}

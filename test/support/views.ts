import assert from "node:assert/strict";
import type { ConfigInput } from "../../src/config/schema.ts";
import { type Exposition, parseExposition } from "./prometheus.ts";
import type { RelayProcess, Scenario } from "./scenario.ts";
import { entryRequests } from "./verify.ts";

/** What tests ask of a scenario and its relays, in a word each. */

/** When each request for entries reached the environment, in milliseconds since the epoch. */
export const timesAt = ({ simulator }: Scenario, environment: string): number[] =>
  entryRequests(simulator, environment).map(({ at }) => Date.parse(at));
export const answersOf = ({ simulator }: Scenario, environment: string, status: number): number =>
  entryRequests(simulator, environment).filter((request) => request.status === status).length;
export const tokenRequests = ({ simulator }: Scenario, environment: string) =>
  simulator.requests(environment).filter(({ kind }) => kind === "token");
export const listed = ({ simulator }: Scenario, environment: string): number =>
  simulator.entries(environment).length;
/** Events behind the committed offsets. */
export const settledEvents = async (scenario: Scenario): Promise<number> =>
  [...(await scenario.committed()).values()].reduce((sum, { offset }) => sum + Math.max(0, offset), 0);

export interface StateView {
  phase: string;
  partitions: { partition: number; committedOffset: number; pendingEvents: number; sealedBatches: number }[];
  environments: LaneView[];
}

export interface LaneView {
  name: string;
  inFlight: number;
  queued: number;
  closure: { reason: string; since: string; until: string | null } | null;
}

export const stateOf = async ({ url }: RelayProcess): Promise<StateView> =>
  (await (await fetch(`${url}/state`)).json()) as StateView;

export async function laneOf(relay: RelayProcess, environment: string): Promise<LaneView> {
  const lane = (await stateOf(relay)).environments.find(({ name }) => name === environment);
  assert.ok(lane, `no lane ${environment}`);
  return lane;
}

export const scrape = async ({ url }: RelayProcess): Promise<Exposition> =>
  parseExposition(await (await fetch(`${url}/metrics`)).text());

export const warnings = (relay: RelayProcess) => relay.logs().filter(({ level }) => level === "warn");

/** For `change`: that environment's part of a configuration. */
export function environmentOf(config: ConfigInput, name: string): ConfigInput["environments"][number] {
  const environment = config.environments.find((each) => each.name === name);
  assert.ok(environment, `no environment ${name}`);
  return environment;
}

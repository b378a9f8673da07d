export type { EnvironmentOptions } from "./environment.ts";
export type { Faults, FaultsInput } from "./faults.ts";
export type { ListEntry } from "./list.ts";
export type { RequestRecord } from "./request-log.ts";
export { createSimulator, type Simulator, type SimulatorOptions } from "./server.ts";

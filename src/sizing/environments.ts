import type { Config } from "../config/schema.ts";
import { createDialect } from "../delivery/environment.ts";
import type { SizedEnvironment } from "./sizing.ts";

export const sizedEnvironments = (environments: Config["environments"]): SizedEnvironment[] =>
  environments.map((config) => ({
    name: config.name,
    requestsPerSecond: config.requestsPerSecond,
    maxEntries: createDialect({ config }).maxEntries,
  }));

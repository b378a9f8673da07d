import type { Config } from "../config/schema.ts";
import { OptoutError } from "../errors.ts";
import type { SchemaId } from "../events/registry-client.ts";
import { createSchemaCache, type SchemaCache } from "../events/schema-cache.ts";
import { silentLogger } from "../observability/logger.ts";

/** Schemas for a command: where the relay waits for the registry, somebody waits for this. */
export interface Schemas {
  /** Null: no registry is configured. */
  readonly cache: SchemaCache | null;
  /** Gives up after a while, with an OptoutError `registry_unreachable`. */
  load(id: SchemaId): Promise<void>;
  close(): void;
}

/** A registry that restarts is back by then, and an unknown schema has been asked for twice; milliseconds. */
const PATIENCE_MS = 15_000;

export function createSchemas({ schemaRegistry }: Pick<Config, "schemaRegistry">): Schemas {
  const cache =
    schemaRegistry === undefined
      ? null
      : createSchemaCache({
          registry: schemaRegistry,
          requestTimeoutMs: Math.min(schemaRegistry.requestTimeout, PATIENCE_MS),
          logger: silentLogger(),
        });
  return {
    cache,
    async load(id) {
      const timeout = AbortSignal.timeout(PATIENCE_MS);
      try {
        await cache?.load(id, timeout);
      } catch (error) {
        if (!timeout.aborted) throw error;
        throw new OptoutError(
          "registry_unreachable",
          `The schema registry at ${schemaRegistry?.url} gave no usable answer within ${PATIENCE_MS / 1_000} s, and there are ` +
            "records that can't be read without it. Check that it is up, and the schemaRegistry settings; `optout-relay check` tells more.",
          { cause: error },
        );
      }
    },
    close: () => cache?.close(),
  };
}

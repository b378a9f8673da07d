import type { Config } from "../config/schema.ts";
import { OptoutError } from "../errors.ts";
import type { Decoder, RecordIn } from "../events/decode.ts";
import type { Decoded } from "../events/event.ts";
import type { SchemaId } from "../events/registry-client.ts";
import { createSchemaCache, type SchemaCache } from "../events/schema-cache.ts";
import { silentLogger } from "../observability/logger.ts";

/** Schemas for a command: where the relay waits for the registry, somebody waits for this. */
export interface Schemas {
  /** Null: no registry is configured. */
  readonly cache: SchemaCache | null;
  /** Why no schema could be had any more; null as long as each could be. */
  readonly failure: OptoutError | null;
  /** False once the registry gave no answer for a while; from then on at once, for schemas that aren't known yet. */
  load(id: SchemaId): Promise<boolean>;
  close(): void;
}

/** Reads a record, with its schema if that can be had; undefined if it can't. */
export async function decodeWith(
  schemas: Schemas,
  decode: Decoder,
  record: RecordIn,
): Promise<Decoded | undefined> {
  let decoded = decode(record);
  while ("schemaId" in decoded && (await schemas.load(decoded.schemaId))) decoded = decode(record);
  return "schemaId" in decoded ? undefined : decoded;
}

/** A registry that restarts is back by then, and an unknown schema has been asked for twice; milliseconds. */
const PATIENCE_MS = 15_000;

export function createSchemas(
  { schemaRegistry }: Pick<Config, "schemaRegistry">,
  patience = PATIENCE_MS,
): Schemas {
  let failure: OptoutError | null = null;
  const cache =
    schemaRegistry === undefined
      ? null
      : createSchemaCache({
          registry: schemaRegistry,
          requestTimeoutMs: Math.min(schemaRegistry.requestTimeout, patience),
          logger: silentLogger(),
        });
  return {
    cache,
    get failure() {
      return failure;
    },
    async load(id) {
      if (failure !== null) return false;
      const timeout = AbortSignal.timeout(patience);
      try {
        await cache?.load(id, timeout);
        return true;
      } catch (error) {
        if (!timeout.aborted) throw error;
        failure = new OptoutError(
          "registry_unreachable",
          `The schema registry at ${schemaRegistry?.url} gave no usable answer within ${patience / 1_000} s, and there are ` +
            "records that can't be read without it. Check that it is up, and the schemaRegistry settings; `optout-relay check` tells more.",
          { cause: error },
        );
        return false;
      }
    },
    close: () => cache?.close(),
  };
}

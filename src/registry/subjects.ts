import type { Config } from "../config/schema.ts";
import { readPackageFile } from "../package-files.ts";
import { createRegistry } from "./registry.ts";

export const EVENT_AVRO = "schemas/opt-out-event.avsc";
/** Within the package. */
export const STATUS_AVRO = "schemas/opt-out-status.avsc";

export interface RegisteredSubject {
  subject: string;
  id: number;
}

/**
 * Registers the Avro schemas of events and results; null without a registry. Rejects with an OptoutError.
 * The subjects' compatibility rules are the operator's, and are left alone: `schemas/README.md` says why none is broken.
 */
export async function registerSchemas(
  config: Pick<Config, "schemaRegistry" | "topics">,
): Promise<RegisteredSubject[] | null> {
  if (config.schemaRegistry === undefined) return null;
  const registry = createRegistry(config.schemaRegistry);
  const subjects: RegisteredSubject[] = [];
  for (const [topic, schema] of [
    [config.topics.events, EVENT_AVRO],
    [config.topics.status, STATUS_AVRO],
  ] as const) {
    const subject = `${topic}-value`;
    subjects.push({ subject, id: await registry.registerSchema(subject, readPackageFile(schema)) });
  }
  return subjects;
}

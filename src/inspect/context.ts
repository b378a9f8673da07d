import type { Kafka } from "kafkajs";
import type { Config } from "../config/schema.ts";

/** What looking into topics and ledgers takes. */
export interface InspectContext {
  kafka: Kafka;
  config: Pick<Config, "kafka" | "topics" | "schemaRegistry" | "normalization" | "environments">;
  /** Milliseconds that the schema registry may take to be there. Default: 15 s. */
  registryPatience?: number;
  progress(what: string, of: { done: number; total: number }): void;
}

import type { Kafka } from "kafkajs";
import type { Config } from "../config/schema.ts";

/** What all parts of a redrive work with. */
export interface RedriveContext {
  kafka: Kafka;
  config: Pick<Config, "kafka" | "topics" | "schemaRegistry" | "normalization">;
  /** Ends reading, with its reason, and sending; what is under way then may arrive nevertheless. */
  signal: AbortSignal;
  progress(what: string, of: { done: number; total: number }): void;
}

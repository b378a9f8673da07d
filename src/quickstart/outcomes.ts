import type { KafkaMessage } from "kafkajs";
import type { SchemaCache } from "../events/schema-cache.ts";
import type { StatusRecord } from "../results/status.ts";

/** Outcomes seen on the status topic, by `statusId`: a repeated record counts once. */
export interface Outcomes {
  readonly byStatusId: ReadonlyMap<string, StatusRecord>;
  read(message: KafkaMessage): Promise<void>;
}

const FRAME_BYTES = 5;

/** `schemas`: for Avro; null if results are JSON. */
export function createOutcomes(schemas: SchemaCache | null): Outcomes {
  const byStatusId = new Map<string, StatusRecord>();

  const decode = async (value: Buffer): Promise<StatusRecord> => {
    if (schemas === null) return JSON.parse(value.toString());
    const id = value.readUInt32BE(1);
    if (schemas.get(id) === undefined) await schemas.load(id);
    const schema = schemas.get(id);
    if (typeof schema !== "object") throw new Error(`status schema ${id} can't be used`);
    return schema.decode(value.subarray(FRAME_BYTES)) as StatusRecord;
  };

  return {
    byStatusId,
    async read({ value }) {
      if (value === null) return;
      const status = await decode(value);
      byStatusId.set(status.statusId, status);
    },
  };
}

const quantile = (sorted: readonly number[], q: number): number | undefined =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];

/** Milliseconds from a record's arrival in Kafka to this environment's acknowledgement. */
export function timesToHonour(
  outcomes: Outcomes,
  environment: string,
): { p50: number | undefined; p99: number | undefined } {
  const times: number[] = [];
  for (const { environments, origin } of outcomes.byStatusId.values()) {
    const result = environments.find(({ name }) => name === environment);
    if (result?.acknowledgedAt) times.push(Date.parse(result.acknowledgedAt) - Date.parse(origin.timestamp));
  }
  times.sort((a, b) => a - b);
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}

import { setImmediate as nextTurn } from "node:timers/promises";
import type { KafkaMessage } from "kafkajs";
import type { SourceRecord } from "../batching/batch.ts";
import type { Decoder } from "../events/decode.ts";
import type { Partition } from "./partition.ts";

/** Why reading a partition is paused. */
export type PauseReason = "room" | "schema";

/** One owned partition in one epoch: its pipeline, and the reading of records into it. */
export interface Slot {
  readonly partition: Partition;
  /** End of the partition, as last seen. */
  highWatermark: number | undefined;
  readonly paused: boolean;
  setPaused(reason: PauseReason, paused: boolean): void;
  /** Decodes and takes records in order; answers how many. See `GroupHandlers.onRecords`. */
  read(messages: readonly KafkaMessage[], isCurrent: () => boolean): Promise<number>;
}

export interface SlotOptions {
  partition: Partition;
  decode: Decoder;
  /** Resolves when the schema is known; rejects only when closed. */
  loadSchema(id: number): Promise<void>;
  pause(): void;
  resume(): void;
}

/** Records decoded between two looks at the clock, and the longest stretch without a turn for others, in milliseconds. */
const RECORDS_PER_LOOK = 32;
const MAX_STRETCH_MS = 10;

const sourceRecord = (message: KafkaMessage): SourceRecord => ({
  offset: Number(message.offset),
  timestamp: Number(message.timestamp),
  key: message.key,
  value: message.value,
  headers: message.headers ?? {},
});

export function createSlot(options: SlotOptions): Slot {
  const { partition, decode } = options;
  const reasons = new Set<PauseReason>();

  const setPaused = (reason: PauseReason, paused: boolean): void => {
    const before = reasons.size > 0;
    if (paused) reasons.add(reason);
    else reasons.delete(reason);
    const after = reasons.size > 0;
    if (after && !before) options.pause();
    if (before && !after) options.resume();
  };

  const waitForSchema = (id: number): void => {
    setPaused("schema", true);
    options.loadSchema(id).then(
      () => setPaused("schema", false),
      () => {
        // Closed: nobody reads any more.
      },
    );
  };

  return {
    partition,
    highWatermark: undefined,
    get paused() {
      return reasons.size > 0;
    },
    setPaused,
    async read(messages, isCurrent) {
      let startedAt = performance.now();
      for (let taken = 0; taken < messages.length; taken++) {
        if (taken % RECORDS_PER_LOOK === 0 && performance.now() - startedAt > MAX_STRETCH_MS) {
          await nextTurn();
          if (!isCurrent()) return taken;
          startedAt = performance.now();
        }
        const record = sourceRecord(messages[taken] as KafkaMessage);
        const decoded = decode(record);
        if ("schemaId" in decoded) {
          waitForSchema(decoded.schemaId);
          return taken;
        }
        if (!partition.offer(record, decoded)) return taken;
      }
      return messages.length;
    },
  };
}

import { setImmediate as nextTurn } from "node:timers/promises";
import type { KafkaMessage } from "kafkajs";
import type { SourceRecord } from "../batching/batch.ts";
import type { Decoder } from "../events/decode.ts";
import type { SchemaId } from "../events/registry-client.ts";
import type { Brake } from "./brake.ts";
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
  loadSchema(id: SchemaId): Promise<void>;
  pause(): void;
  resume(): void;
  brake: Pick<Brake, "wait">;
}

/** Records decoded between two looks at the clock, and the longest stretch without a turn for others, in milliseconds. */
const RECORDS_PER_LOOK = 32;
const MAX_STRETCH_MS = 10;

/** Waiting in place for a schema: for one, and for all in one `read`, during which other partitions aren't read; ms. */
const SCHEMA_WAIT_MS = 100;
const MAX_SCHEMA_WAITS_MS = 500;

/** Schemas loaded at the same time for one partition: ids that garbage made up, two seconds each, would hold it otherwise. */
const MAX_LOADS = 64;

/** The furthest from the epoch that a Date can be, in milliseconds. */
const MAX_TIME = 8.64e15;

/** Kafka takes any number for a timestamp; nanoseconds, for one, are no Date any more. */
const timestampOf = ({ timestamp }: KafkaMessage): number => {
  const milliseconds = Number(timestamp);
  return Number.isFinite(milliseconds) ? Math.min(Math.max(milliseconds, -MAX_TIME), MAX_TIME) : 0;
};

/** Of records from before Kafka had headers. */
const NO_HEADERS: SourceRecord["headers"] = Object.freeze({});

/** Key, value and headers aren't copied: what the consumer hands out may be kept, see `src/kafka/record-batch.ts`. */
const sourceRecord = (message: KafkaMessage): SourceRecord => ({
  offset: Number(message.offset),
  timestamp: timestampOf(message),
  key: message.key,
  value: message.value,
  headers: message.headers ?? NO_HEADERS,
});

/** Whether it resolves, and does so in time. */
async function resolvesWithin(work: Promise<void>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds);
  });
  const inTime = work.then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([inTime, late]);
  } finally {
    clearTimeout(timer);
  }
}

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

  const loads = new Map<SchemaId, Promise<void>>();
  const load = (id: SchemaId): Promise<void> => {
    const loading = loads.get(id) ?? options.loadSchema(id);
    if (!loads.has(id)) {
      loads.set(id, loading);
      loading.catch(() => {}).finally(() => loads.delete(id));
    }
    return loading;
  };

  /** Loads what the records from `from` on will need, so that they needn't wait one after the other; answers how far it looked. */
  const loadAhead = (messages: readonly KafkaMessage[], from: number): number => {
    const until = performance.now() + MAX_STRETCH_MS;
    let at = from;
    for (; at < messages.length && loads.size < MAX_LOADS && performance.now() <= until; at++) {
      const decoded = decode(messages[at] as KafkaMessage);
      // Its failure is the business of the record that waits for it.
      if ("schemaId" in decoded) load(decoded.schemaId).catch(() => {});
    }
    return at;
  };

  const pauseUntil = (schemaKnown: Promise<void>): void => {
    setPaused("schema", true);
    schemaKnown.then(
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
      let patience = MAX_SCHEMA_WAITS_MS;
      let looked = 0;
      const braking = options.brake.wait();
      if (braking !== undefined) {
        await braking;
        if (!isCurrent()) return 0;
        startedAt = performance.now();
      }
      for (let taken = 0; taken < messages.length; ) {
        if (taken % RECORDS_PER_LOOK === 0 && performance.now() - startedAt > MAX_STRETCH_MS) {
          await nextTurn();
          if (!isCurrent()) return taken;
          startedAt = performance.now();
        }
        const message = messages[taken] as KafkaMessage;
        const decoded = decode(message);
        if ("schemaId" in decoded) {
          // A pause may last much longer than the registry's answer takes, and ids that garbage made up can be many.
          const schemaKnown = load(decoded.schemaId);
          looked = loadAhead(messages, Math.max(looked, taken + 1));
          const waitedFrom = performance.now();
          const isKnown = await resolvesWithin(schemaKnown, Math.max(0, Math.min(SCHEMA_WAIT_MS, patience)));
          if (!isCurrent()) return taken;
          startedAt = performance.now();
          patience -= startedAt - waitedFrom;
          if (isKnown) continue;
          pauseUntil(schemaKnown);
          return taken;
        }
        if (!partition.offer(sourceRecord(message), decoded)) return taken;
        taken++;
      }
      return messages.length;
    },
  };
}

import { setTimeout as sleep } from "node:timers/promises";
import avro from "avsc";
import type { Message } from "kafkajs";
import { readPackageFile } from "../../src/package-files.ts";
import { EVENT_AVRO } from "../../src/registry/subjects.ts";
import { type ChaosEvent, eventAt, messageOf, type ToAvro } from "./events.ts";
import { createRandom, seedOf } from "./random.ts";
import type { Deed } from "./schedule.ts";
import type { Stage } from "./stage.ts";

/** What was produced, as far as its producer was told. */
export interface Traffic {
  produce(from: number, count: number): Promise<void>;
  transact(deed: Extract<Deed, { do: "transaction" }>): Promise<void>;
  event(index: number): ChaosEvent;
  readonly produced: ReadonlySet<number>;
  readonly aborted: ReadonlySet<number>;
}

/** The broker aborts a transaction that its producer has left behind. */
const TRANSACTION_TIMEOUT_MS = 3_000;
/** Like nothing that the registry gives away in a run. */
const UNKNOWN_SCHEMA = 2_000_000;
const TRIES = 20;

const toAvroWith = (schemaId: number): ToAvro => {
  const type = avro.Type.forSchema(JSON.parse(readPackageFile(EVENT_AVRO)));
  return ({ phone, source }, known) => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(known ? schemaId : UNKNOWN_SCHEMA, 1);
    const nothing = { eventId: null, region: null, occurredAt: null, expiresAt: null, action: null };
    return Buffer.concat([head, type.toBuffer({ phone, source, ...nothing })]);
  };
};

export function createTraffic({ house, schedule, kafka, producer, topics }: Stage): Traffic {
  const { seed, partitions, registry } = schedule;
  const toAvro = registry ? toAvroWith(house.eventSchema) : undefined;
  const produced = new Set<number>();
  const aborted = new Set<number>();
  const event = (index: number): ChaosEvent => eventAt(seed, index, toAvro);
  const messages = (from: number, count: number): Message[] =>
    Array.from({ length: count }, (_, each) => {
      const index = from + each;
      return messageOf(event(index), createRandom(seedOf(~seed, index)).int(0, partitions - 1));
    });
  /** One after the other, so that a broker that comes back isn't overrun. */
  let turn = Promise.resolve();

  const send = async (from: number, count: number): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        await producer.send([{ topic: topics.events, messages: messages(from, count) }]);
        for (let index = from; index < from + count; index++) produced.add(index);
        return;
      } catch (error) {
        if (attempt === TRIES) throw error;
        await sleep(250);
      }
    }
  };

  return {
    produced,
    aborted,
    event,
    produce(from, count) {
      const sending = turn.then(() => send(from, count));
      turn = sending.catch(() => {});
      return sending;
    },
    async transact({ from, count, ms, end }) {
      const transactional = kafka.producer({
        transactionalId: `${topics.events}-${from}`,
        transactionTimeout: TRANSACTION_TIMEOUT_MS,
        maxInFlightRequests: 1,
        idempotent: true,
      });
      // What comes of one whose broker was restarted meanwhile, nobody knows; both are right.
      let isCommitting = false;
      try {
        await transactional.connect();
        const transaction = await transactional.transaction();
        await transaction.send({ topic: topics.events, messages: messages(from, count) });
        await sleep(ms);
        if (end === "commit") {
          isCommitting = true;
          await transaction.commit();
          for (let index = from; index < from + count; index++) produced.add(index);
        } else {
          if (end === "abort") await transaction.abort();
        }
      } catch {
        // Left behind: the broker aborts it in time.
      }
      if (!isCommitting) for (let index = from; index < from + count; index++) aborted.add(index);
      await transactional.disconnect().catch(() => {});
    },
  };
}

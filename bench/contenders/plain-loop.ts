/**
 * What a team would write first, and decently: consume, parse, normalise, post each batch to one environment after another,
 * go on when all have it. No statuses, no ledger: a crash repeats what isn't committed, in other batches. Argument: the task, as JSON.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type EachBatchPayload, Kafka, type KafkaMessage, logLevel } from "kafkajs";
import { parsePhoneNumberFromString } from "libphonenumber-js/max";
import { Pool } from "undici";
import type { Task } from "./contender.ts";

const task: Task = JSON.parse(process.argv[2] ?? "{}");

interface Entry {
  phone: string;
  type: "dncl";
  source: string;
}

function entryOf({ value, offset }: KafkaMessage): Entry[] {
  try {
    const event = JSON.parse(String(value));
    const phone = parsePhoneNumberFromString(event.phone, "US");
    if (phone?.isValid()) return [{ phone: phone.number, type: "dncl", source: event.source ?? "unknown" }];
  } catch {
    // As with an invalid phone: there is nothing to send.
  }
  process.stderr.write(`the record at ${offset} is no opt-out\n`);
  return [];
}

function connect(baseUrl: string) {
  const { origin, pathname } = new URL(baseUrl);
  const pool = new Pool(origin, { connections: 8 });
  let token: { value: string; until: number } | undefined;

  const tokenNow = async (): Promise<string> => {
    if (token !== undefined && token.until > Date.now()) return token.value;
    const { body } = await pool.request({
      method: "POST",
      path: `${pathname}/oauth/token`,
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: "grant_type=client_credentials&client_id=bench&client_secret=bench-secret&scope=dnc:write",
    });
    const answer = (await body.json()) as { access_token: string; expires_in: number };
    token = { value: answer.access_token, until: Date.now() + (answer.expires_in - 60) * 1_000 };
    return token.value;
  };

  const post = async (body: string, key: string): Promise<boolean> => {
    const response = await pool.request({
      method: "POST",
      path: `${pathname}/api/v2/compliance/dnc/entries`,
      headers: {
        authorization: `Bearer ${await tokenNow()}`,
        "content-type": "application/json",
        "idempotency-key": key,
      },
      body,
    });
    await response.body.dump();
    if (response.statusCode === 401) token = undefined;
    return response.statusCode === 201;
  };

  return async (body: string, key: string): Promise<void> => {
    for (let pause = 100; ; pause = Math.min(2 * pause, 10_000)) {
      if (await post(body, key).catch(() => false)) return;
      await sleep(pause);
    }
  };
}

const environments = task.environments.map(connect);

async function eachBatch({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary }: EachBatchPayload) {
  for (let from = 0; from < batch.messages.length; from += task.batch) {
    const chunk = batch.messages.slice(from, from + task.batch);
    const first = chunk[0]?.offset;
    const last = chunk.at(-1)?.offset ?? "";
    const body = JSON.stringify(chunk.flatMap(entryOf));
    const key = `${batch.topic}:${batch.partition}:${first}-${last}`;
    if (body !== "[]") for (const send of environments) await send(body, key);
    resolveOffset(last);
    await heartbeat();
    await commitOffsetsIfNecessary();
  }
}

const kafka = new Kafka({ brokers: task.brokers, clientId: task.clientId, logLevel: logLevel.ERROR });
const consumer = kafka.consumer({
  groupId: task.groupId,
  sessionTimeout: task.sessionTimeoutMs,
  maxWaitTimeInMs: 500,
});
consumer.on(consumer.events.GROUP_JOIN, () => {
  process.stdout.write(`${JSON.stringify({ assigned: Date.now() })}\n`);
});
await consumer.connect();
await consumer.subscribe({ topic: task.topic, fromBeginning: true });
await consumer.run({ eachBatch, eachBatchAutoResolve: false, autoCommitInterval: 1_000 });

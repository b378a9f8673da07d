/**
 * What the parts allow by themselves: `consume`, with kafkajs as it is; `normalise`, which reads and looks at each phone too;
 * `post`, which sends bodies made beforehand to all environments at once. Arguments: which one, and the task as JSON.
 */
import { Kafka, type KafkaMessage, logLevel } from "kafkajs";
import { parsePhoneNumberFromString } from "libphonenumber-js/max";
import { Pool } from "undici";
import { phoneOf } from "../../test/support/scenario.ts";
import type { Task } from "./contender.ts";

const [which, json = "{}"] = process.argv.slice(2);
const task: Task = JSON.parse(json);
const IN_FLIGHT = 4;

const say = (what: "assigned" | "done"): void => {
  process.stdout.write(`${JSON.stringify({ [what]: Date.now() })}\n`);
};

const nothing = (): void => {};

function normalise({ value }: KafkaMessage): void {
  const phone = parsePhoneNumberFromString(JSON.parse(String(value)).phone, "US");
  if (!phone?.isValid()) throw new Error("a phone of the bench is not valid");
}

async function consume(each: (message: KafkaMessage) => void): Promise<void> {
  const kafka = new Kafka({ brokers: task.brokers, clientId: task.clientId, logLevel: logLevel.ERROR });
  const consumer = kafka.consumer({ groupId: task.groupId, maxWaitTimeInMs: 500 });
  consumer.on(consumer.events.GROUP_JOIN, () => say("assigned"));
  await consumer.connect();
  await consumer.subscribe({ topic: task.topic, fromBeginning: true });
  let count = 0;
  await consumer.run({
    eachBatch: async ({ batch }) => {
      for (const message of batch.messages) each(message);
      count += batch.messages.length;
      if (count === task.events) say("done");
    },
  });
}

async function post(): Promise<void> {
  const bodies: string[] = [];
  for (let from = 0; from < task.events; from += task.batch) {
    const length = Math.min(task.batch, task.events - from);
    const entries = Array.from({ length }, (_, index) => ({
      phone: phoneOf(from + index),
      type: "dncl",
      source: "web",
    }));
    bodies.push(JSON.stringify(entries));
  }
  const sendAll = async (baseUrl: string): Promise<void> => {
    const { origin, pathname } = new URL(baseUrl);
    const pool = new Pool(origin, { connections: IN_FLIGHT });
    const request = { method: "POST", path: `${pathname}/oauth/token` } as const;
    const { body } = await pool.request(request);
    const { access_token: token } = (await body.json()) as { access_token: string };
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const path = `${pathname}/api/v2/compliance/dnc/entries`;
    let next = 0;
    const sendNext = async (): Promise<void> => {
      while (next < bodies.length) {
        const index = next++;
        const answer = await pool.request({
          ...{ method: "POST", path, body: bodies[index] ?? "" },
          headers: { ...headers, "idempotency-key": `posts:${index}` },
        });
        await answer.body.dump();
        if (answer.statusCode !== 201) throw new Error(`an environment answered ${answer.statusCode}`);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, sendNext));
  };
  say("assigned");
  await Promise.all(task.environments.map(sendAll));
  // The process stays to be looked at.
  setInterval(nothing, 60_000);
}

if (which === "post") await post();
else await consume(which === "consume" ? nothing : normalise);

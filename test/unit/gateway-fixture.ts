import { connect } from "node:net";
import { parseConfig } from "../../src/config/load.ts";
import type { ConfigInput } from "../../src/config/schema.ts";
import { createGateway, type GatewayOptions } from "../../src/gateway/gateway.ts";
import type { TopicRecords } from "../../src/kafka/outgoing.ts";
import { createLogger } from "../../src/observability/logger.ts";

export interface Setup extends Omit<Partial<GatewayOptions>, "config" | "producer" | "logger"> {
  gateway?: ConfigInput["gateway"];
  /** What Kafka does with records. */
  send?: (records: readonly TopicRecords[]) => Promise<void>;
}

/** The phone that most tests send, as one may write it. */
export const optOut = { phone: "(212) 555-0123", source: "web" };

export const configWith = (gateway: ConfigInput["gateway"] = {}) =>
  parseConfig({
    kafka: { brokers: ["kafka:9092"] },
    topics: { events: "events" },
    environments: [{ name: "e", baseUrl: "http://e", auth: { clientId: "c", clientSecret: "s" } }],
    gateway: { port: 0, ...gateway },
  });

/** A gateway on a free port, with a Kafka that takes everything unless told otherwise. */
export async function gatewayWith({ gateway: keys, send = async () => {}, ...more }: Setup = {}) {
  const sent: { topic: string; key: unknown; value: Record<string, unknown> }[] = [];
  const logs: string[] = [];
  const gateway = await createGateway({
    config: configWith(keys),
    producer: {
      send: async (records) => {
        await send(records);
        for (const { topic, messages } of records) {
          for (const { key, value } of messages) sent.push({ topic, key, value: JSON.parse(String(value)) });
        }
      },
    },
    logger: createLogger({ level: "debug", format: "json" }, { write: (line) => logs.push(line) }),
    checkKafka: async () => {},
    ...more,
  });
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${gateway.url}/opt-out`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  /** The samples of that metric that aren't 0, without its name. */
  const metric = async (name: string): Promise<string[]> => {
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    return text
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .filter((line) => !line.endsWith(" 0"))
      .map((line) => line.slice(name.length))
      .sort();
  };
  return { gateway, sent, logs, post, metric, [Symbol.asyncDispose]: () => gateway.close() };
}

export const bodyOf = async (response: Response): Promise<Record<string, unknown>> =>
  JSON.parse(await response.text());

/** A promise and the function that resolves it. */
export function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

/** Writes these pieces to a socket, one after the other, and answers all that came back until the other side ended it. */
export async function exchange(
  url: string,
  pieces: readonly string[],
  next: () => Promise<void> = async () => {},
) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const received: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => received.push(chunk));
  // A reset is an end like any other.
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  for (const piece of pieces) {
    if (socket.destroyed) break;
    socket.write(piece);
    await next();
  }
  await closed;
  return Buffer.concat(received).toString();
}

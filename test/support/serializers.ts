import { SchemaRegistry, type SchemaType } from "@kafkajs/confluent-schema-registry";
import { z } from "zod";
import type { StatusRecord } from "../../src/results/status.ts";
import { readTopic } from "./kafka.ts";
import type { Scenario } from "./scenario.ts";
import { sharedStack } from "./stack.ts";

/** A producer's side of the shared registry, through the library that users have. Subjects are the scenario's own. */
export interface Serializers {
  /** Registers a schema as the next version of its subject, which must be compatible with those before; answers its id. */
  register(name: string, type: SchemaType, schema: string | object): Promise<number>;
  /** Registers what the library can't read, as other clients do. */
  registerText(name: string, schemaType: string, schema: string): Promise<number>;
  encode(id: number, value: object): Promise<Buffer>;
}

export async function createSerializers({ config }: Scenario): Promise<Serializers> {
  const { registryUrl } = await sharedStack();
  const registry = new SchemaRegistry({ host: registryUrl });
  return {
    async register(name, type, given) {
      const schema = typeof given === "string" ? given : JSON.stringify(given);
      const subject = `${config.topics.events}-${name}`;
      const confluent = { type, schema } as Parameters<SchemaRegistry["register"]>[0];
      return (await registry.register(confluent, { subject })).id;
    },
    async registerText(name, schemaType, schema) {
      const response = await fetch(`${registryUrl}/subjects/${config.topics.events}-${name}/versions`, {
        method: "POST",
        headers: { "content-type": "application/vnd.schemaregistry.v1+json" },
        body: JSON.stringify({ schemaType, schema }),
      });
      return z.object({ id: z.number() }).parse(await response.json()).id;
    },
    encode: (id, value) => registry.encode(id, value),
  };
}

/** Every record of the status topic, read through the registry. */
export async function decodedStatuses({ kafka, admin, config }: Scenario): Promise<StatusRecord[]> {
  const { registryUrl } = await sharedStack();
  const registry = new SchemaRegistry({ host: registryUrl });
  const records = await readTopic(kafka, admin, config.topics.status);
  return Promise.all(records.map(({ value }) => registry.decode(value ?? Buffer.alloc(0))));
}

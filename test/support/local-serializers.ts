import assert from "node:assert/strict";
import avsc from "avsc";
import protobuf from "protobufjs";
import { compileAvro } from "../../src/events/avro.ts";
import { decodeUtf8, parseJson } from "../../src/events/json.ts";
import { compileProtobuf } from "../../src/events/protobuf.ts";
import type { RegistrySchema } from "../../src/events/registry-client.ts";
import type { SchemaCache } from "../../src/events/schema-cache.ts";
import type { Serializers } from "./serializers.ts";

type Encode = (value: object) => Buffer;

/** A registry within the process: what is registered is known at once, and every other id is of no schema. */
export function createLocalSerializers(): Serializers & { schemas: SchemaCache } {
  const known: { schema: RegistrySchema; encode: Encode }[] = [];

  const add = (type: string, text: string): number => {
    const compiled = compilers[type]?.(text);
    assert.ok(compiled !== undefined, `a schema of the type ${type}`);
    return known.push(compiled);
  };
  const at = (id: number) => known[id - 1];

  return {
    register: async (_name, type, schema) =>
      add(type, typeof schema === "string" ? schema : JSON.stringify(schema)),
    registerText: async (_name, type, schema) => add(type, schema),
    async encode(id, value) {
      const frame = Buffer.alloc(5);
      frame.writeInt32BE(id, 1);
      return Buffer.concat([frame, at(id)?.encode(value) ?? Buffer.alloc(0)]);
    },
    schemas: {
      get: (id) => (typeof id === "number" ? at(id)?.schema : undefined) ?? "unknown",
      load: async () => {},
      close: () => {},
    },
  };
}

const compilers: Record<string, (text: string) => { schema: RegistrySchema; encode: Encode }> = {
  AVRO: (text) => {
    const type = avsc.Type.forSchema(JSON.parse(text));
    // Fields that are left out have defaults.
    return {
      schema: { decode: compileAvro(text, []) },
      encode: (value) => type.toBuffer(type.clone(value, { wrapUnions: true })),
    };
  },
  JSON: () => ({
    schema: { decode: (payload) => parseJson(decodeUtf8(payload)) },
    encode: (value) => Buffer.from(JSON.stringify(value)),
  }),
  PROTOBUF: (text) => ({
    schema: { decode: compileProtobuf(text, []) },
    encode: (value) => {
      const { root } = protobuf.parse(text);
      const type = root.lookupType("example.Wish");
      return Buffer.from(type.encode(type.fromObject(value)).finish());
    },
  }),
};

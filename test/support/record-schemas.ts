import { z } from "zod";

const node = z.looseObject({
  title: z.string().optional(),
  description: z.string().optional(),
  /** With null beside it for what may be null. */
  type: z.preprocess((type) => (Array.isArray(type) ? type : [type]), z.array(z.string())),
  enum: z.array(z.string()).optional(),
  maximum: z.number().optional(),
  required: z.array(z.string()).default([]),
  get properties() {
    return z.record(z.string(), node).default({});
  },
  get items() {
    return node.optional();
  },
});
type Node = z.infer<typeof node>;

const MAX_INT = 2 ** 31 - 1;
const INT_BOUNDS = [MAX_INT, -MAX_INT - 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];

/** The published JSON Schema of a record. Draft 7 is what both AsyncAPI and the registries read. */
export function jsonSchemaOf(schema: z.ZodType, id: string): Record<string, unknown> {
  // Bounds that come from the size of an int or a long are Avro's matter.
  const { $schema, ...rest } = mapped(
    z.toJSONSchema(schema, { io: "input", target: "draft-07" }),
    (key, value) =>
      (key === "maximum" || key === "minimum") && INT_BOUNDS.includes(Number(value))
        ? undefined
        : nullable(value),
  );
  return { $schema, $id: `urn:optout-relay:${id}`, ...rest };
}

const mapped = (schema: object, map: (key: string, value: unknown) => unknown): Record<string, unknown> =>
  z.looseObject({}).parse(JSON.parse(JSON.stringify(schema), map));

const alternatives = z.looseObject({
  anyOf: z.tuple([z.looseObject({ type: z.string() }), z.object({ type: z.literal("null") })]),
});

/** Zod has two forms for what may be null; this one is the shorter. */
function nullable(value: unknown): unknown {
  const { data } = alternatives.safeParse(value);
  if (data === undefined) return value;
  const { anyOf, ...rest } = data;
  return { ...anyOf[0], type: [anyOf[0].type, "null"], ...rest };
}

/** The published Avro schema of a record. What may be null or absent is null unless given. */
export function avroSchemaOf(schema: z.ZodType): Record<string, unknown> {
  const root = mapped(z.toJSONSchema(schema, { io: "input" }), (_, value) => nullable(value));
  const { type, name, ...record } = avroRecord(node.parse(root));
  return { type, name, namespace: "optout", ...record };
}

function avroRecord({ title, description, properties, required }: Node): Record<string, unknown> {
  if (title === undefined) throw new Error("a record needs a title for its Avro name");
  const fields = Object.entries(properties).map(([name, field]) => {
    const optional = field.type.includes("null") || !required.includes(name);
    return {
      name: avroName(name),
      ...(optional ? { type: ["null", avroType(field)], default: null } : { type: avroType(field) }),
      ...(field.description !== undefined && { doc: field.description }),
    };
  });
  return { type: "record", name: title, ...(description !== undefined && { doc: description }), fields };
}

/** Header names have dots, which Avro's names may not have. */
export const avroName = (name: string): string => name.replaceAll(".", "_");

function avroType(schema: Node): unknown {
  if (schema.enum !== undefined) return { type: "enum", name: schema.title, symbols: schema.enum };
  const type = schema.type.find((one) => one !== "null");
  if (type === "string") return "string";
  if (type === "integer") return (schema.maximum ?? Number.POSITIVE_INFINITY) <= MAX_INT ? "int" : "long";
  if (type === "array") return { type: "array", items: avroType(node.parse(schema.items)) };
  // Without the description, which is the field's.
  if (type === "object") return avroRecord({ ...schema, description: undefined });
  throw new Error(`no Avro type is known for ${JSON.stringify(schema)}`);
}

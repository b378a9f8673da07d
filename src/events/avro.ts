import avsc, { type Type } from "avsc";

/**
 * Compiles an Avro schema; `references` are the schemas that it refers to by name, each after those it needs itself.
 * Throws if one can't be used. What it returns reads a payload with it, the writer's own schema, so that a producer may
 * add, leave out and reorder fields as it likes; it throws if the payload doesn't fit.
 */
export function compileAvro(schema: string, references: readonly string[]): (payload: Buffer) => unknown {
  const registry = {};
  for (const reference of references) avsc.Type.forSchema(JSON.parse(reference), { registry });
  const type = avsc.Type.forSchema(JSON.parse(schema), { registry });
  return (payload) => plain(type, type.fromBuffer(payload));
}

/** Of a record, its fields; unions as plain values, even where avsc gives `{long: 5}`, since a bare one wouldn't tell. */
function plain(type: Type, value: unknown): unknown {
  if (type instanceof avsc.types.WrappedUnionType) {
    const [[branch, inner] = []] = Object.entries(value ?? {});
    const chosen = type.types.find(({ branchName }) => branchName === branch);
    return chosen === undefined ? value : plain(chosen, inner);
  }
  if (!(type instanceof avsc.types.RecordType)) return value;
  const fields = new Map(Object.entries(value ?? {}));
  return Object.fromEntries(
    type.fields.map((field) => [field.name, bare(field.type, fields.get(field.name))]),
  );
}

const bare = (type: Type, value: unknown): unknown =>
  type instanceof avsc.types.WrappedUnionType ? Object.values(value ?? {})[0] : value;

import avsc, { type Type } from "avsc";
import { enumWord } from "./enum-word.ts";

/**
 * Compiles an Avro schema; `references` are the schemas that it refers to by name, each after those it needs itself.
 * Throws if one can't be used. What it returns reads a payload with it, the writer's own schema, so that a producer may
 * add, leave out and reorder fields as it likes; it throws if the payload doesn't fit.
 */
export function compileAvro(schema: string, references: readonly string[]): (payload: Buffer) => unknown {
  const registry = {};
  const bounds: Bounds = { emptyItems: 0 };
  const typeHook = boundedTypes(bounds);
  for (const reference of references) avsc.Type.forSchema(JSON.parse(reference), { registry, typeHook });
  const type = avsc.Type.forSchema(JSON.parse(schema), { registry, typeHook });
  return (payload) => {
    bounds.emptyItems = 0;
    return plain(type, type.fromBuffer(payload));
  };
}

/** What avsc reads from. `pos` runs past the end, or is NaN, once it was asked for more than there is. */
interface Tap {
  readonly buf: Buffer;
  readonly pos: number;
  readLong(): number;
  readString(): string;
  skipLong(): void;
}

/** What avsc's own types for TypeScript leave out. */
declare module "avsc" {
  interface Type {
    _read(tap: Tap): unknown;
  }
}

/** Items of no bytes, such as nulls, in the payload that is being read. */
interface Bounds {
  emptyItems: number;
}

/** No wish has so many; a few bytes could claim 2⁶³ of them. */
const MAX_EMPTY_ITEMS = 1_000;

type TypeHook = (schema: avsc.Schema, options: object) => Type | undefined;

/**
 * avsc believes the number that an array or a map begins with, and a record of twenty bytes would fill the memory; and
 * it refuses a long above 2⁵³, and with it the whole record. These types read no further than the payload goes.
 */
function boundedTypes(bounds: Bounds): TypeHook {
  const long = readWith(new avsc.types.LongType(), readLong);
  return (schema, options) => {
    const kind = typeof schema === "object" && "type" in schema ? schema.type : schema;
    if (kind === "long") return long;
    if (kind === "array") {
      const type = new avsc.types.ArrayType(schema, options);
      return readWith(type, (tap) => readItems(tap, bounds, () => type.itemsType._read(tap)));
    }
    if (kind !== "map") return undefined;
    const type = new avsc.types.MapType(schema, options);
    const valuesType: Type = type.valuesType;
    return readWith(type, (tap) =>
      Object.fromEntries(readItems(tap, bounds, () => [tap.readString(), valuesType._read(tap)] as const)),
    );
  };
}

/** The type with another way to read it; to skip it is to read it, too. */
const readWith = <T extends Type>(type: T, read: (tap: Tap) => unknown): T =>
  Object.create(type, { _read: { value: read }, _skip: { value: read } });

/** In blocks, each after the number of its items; a negative one is followed by the block's size; zero ends. */
function readItems<Item>(tap: Tap, bounds: Bounds, readItem: () => Item): Item[] {
  const items: Item[] = [];
  for (let count = tap.readLong(); count !== 0; count = tap.readLong()) {
    if (count < 0) tap.skipLong();
    for (let left = Math.abs(count); left > 0; left -= 1) {
      const start = tap.pos;
      items.push(readItem());
      if (!(tap.pos <= tap.buf.length)) throw new Error("more items than bytes");
      if (tap.pos === start) bounds.emptyItems += 1;
      if (bounds.emptyItems > MAX_EMPTY_ITEMS) throw new Error("too many items of no bytes");
    }
  }
  return items;
}

/** Bytes of a varint that avsc reads exactly, and the most that one of 64 bits has. */
const EXACT_BYTES = 7;
const MAX_BYTES = 10;

/** A number, or a bigint if it is too large for one. */
function readLong(tap: Tap): number | bigint {
  const start = tap.pos;
  const number = tap.readLong();
  const bytes = tap.buf.subarray(start, tap.pos);
  if (bytes.length <= EXACT_BYTES) return number;
  if (bytes.length > MAX_BYTES) throw new Error("more than 64 bits");
  const zigZag = BigInt.asUintN(
    64,
    bytes.reduceRight((sum, byte) => (sum << 7n) | BigInt(byte & 0x7f), 0n),
  );
  const exact = (zigZag >> 1n) ^ -(zigZag & 1n);
  return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
}

/** Of a record, its fields; unions as plain values, even where avsc gives `{long: 5}`, since a bare one wouldn't tell. */
function plain(declared: Type, given: unknown): unknown {
  const { type, value } = branchOf(declared, given);
  if (!(type instanceof avsc.types.RecordType)) return value;
  const fields = new Map(Object.entries(value ?? {}));
  return Object.fromEntries(
    type.fields.map((field) => [field.name, bare(field.type, fields.get(field.name))]),
  );
}

function bare(declared: Type, given: unknown): unknown {
  const { type, value } = branchOf(declared, given);
  const isEnum = type instanceof avsc.types.EnumType && typeof value === "string";
  return isEnum ? enumWord(value, type.name ?? "") : value;
}

/** Of a union, the branch that was written, if it is a record or an enum or named beside the value; else the type itself. */
function branchOf(type: Type, value: unknown): { type: Type; value: unknown } {
  if (type instanceof avsc.types.WrappedUnionType) {
    const [[branch, inner] = []] = Object.entries(value ?? {});
    return { type: type.types.find(({ branchName }) => branchName === branch) ?? type, value: inner };
  }
  if (!(type instanceof avsc.types.UnwrappedUnionType)) return { type, value };
  // avsc leaves a union unwrapped only if the kind of the value tells the branch.
  const { RecordType, EnumType } = avsc.types;
  const kind = typeof value === "string" ? EnumType : isPlainObject(value) ? RecordType : undefined;
  const branch = kind && type.types.find((each) => each instanceof kind);
  return { type: branch ?? type, value };
}

const isPlainObject = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value);

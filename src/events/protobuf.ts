import protobuf from "protobufjs";
import { enumWord } from "./enum-word.ts";
import { addDescriptor, declarationsIn, MAP_ENTRY } from "./protobuf-descriptor.ts";

/**
 * Compiles a .proto file, as text or as a descriptor in base64; `references` are the files that it imports, and those that they import. Throws if one can't be
 * used. What it returns reads a payload, and throws if that doesn't fit.
 *
 * A payload begins with the place of its message in the file (Confluent, "Wire format", message indexes): a count and so
 * many indexes, zig-zag varints, from the outermost message inwards; or a single 0 for the first message. The serializer
 * of @kafkajs/confluent-schema-registry leaves it out. Then the first byte is a field's tag, 8 or more, and read as a
 * count it would be that of a message four levels deep or more: only if there is one, it is a count.
 */
export function compileProtobuf(schema: string, references: readonly string[]): (payload: Buffer) => unknown {
  const root = new protobuf.Root();
  if (statementsIn([schema, ...references]) > MAX_STATEMENTS) throw new Error("too many statements");
  const file = addFile(root, schema);
  const scope = file.package === undefined ? root : root.lookup(file.package);
  // Before the references, which may add to the same package.
  const messages = scope instanceof protobuf.Namespace ? messagesIn(scope) : [];
  const imports = [file, ...references.map((reference) => addFile(root, reference))].flatMap(
    (added) => added.imports ?? [],
  );
  for (const name of new Set(imports)) {
    const { nested } = protobuf.common.get(name) ?? {};
    if (nested !== undefined) root.addJSON(nested);
  }
  root.resolveAll();
  const [first] = messages;
  if (first === undefined) throw new Error("there is no message in the file");
  return (payload) => {
    const place = readPlace(payload);
    const named = place && messageAt(messages, place.path);
    if (place !== undefined && named !== undefined) return read(named, payload.subarray(place.length));
    if ((payload[0] ?? 0) < LEAST_TAG) throw new Error("no such message");
    return read(first, payload);
  };
}

/** No .proto file does without braces or semicolons. Blanks are in one of its parts only, or many of them would be tried in both. */
const BASE64 = /^[A-Za-z0-9+/\s]+(?:=[=\s]*)?$/;

/**
 * Far more than a schema has, with all that it imports. protobufjs takes a quarter of a second for as many fields of one
 * message, four times as long for twice as many, and nothing else is done meanwhile.
 */
const MAX_STATEMENTS = 2_000;

/** A statement ends with a semicolon, or has braces; a descriptor is nothing but its declarations. */
const statementsIn = (schemas: readonly string[]): number =>
  schemas
    .map((schema) => (BASE64.test(schema) ? declarationsIn(schema) : schema.split(/[;{]/).length))
    .reduce((sum, count) => sum + count, 0);

function addFile(
  root: protobuf.Root,
  schema: string,
): { package?: string | undefined; imports?: string[] | undefined } {
  if (BASE64.test(schema)) return addDescriptor(root, schema);
  // protobufjs would look for the end at each quote again, which takes minutes if they are many.
  if (!areTextsWhole(schema)) throw new Error("a text has no end");
  return protobuf.parse(schema, root);
}

/** Whether each quote, outside of comments, has its other one. In linear time, and without a stack. */
function areTextsWhole(schema: string): boolean {
  for (let at = 0; at < schema.length; at += 1) {
    const character = schema.charAt(at);
    if (character === "/" && schema.charAt(at + 1) === "/") at = endOf(schema, "\n", at);
    else if (character === "/" && schema.charAt(at + 1) === "*") at = endOf(schema, "*/", at + 2) + 1;
    else if (character === '"' || character === "'") {
      at += 1;
      while (at < schema.length && schema.charAt(at) !== character) at += schema.charAt(at) === "\\" ? 2 : 1;
      if (at >= schema.length) return false;
    }
  }
  return true;
}

const endOf = (text: string, mark: string, from: number): number => {
  const at = text.indexOf(mark, from);
  return at < 0 ? text.length : at;
};

/** What isn't UTF-8 becomes characters that no phone has. */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Of field 1, the lowest, as a varint. */
const LEAST_TAG = 8;
/** Messages within messages; none is nested as deep. */
const MAX_PATH = 32;

/** Those that were written; Confluent's Java and JavaScript clients count no others. */
const messagesIn = (scope: protobuf.NamespaceBase): protobuf.Type[] =>
  scope.nestedArray
    .filter((nested) => nested instanceof protobuf.Type)
    .filter((type) => type.getOption(MAP_ENTRY) !== true);

function messageAt(messages: readonly protobuf.Type[], path: readonly number[]): protobuf.Type | undefined {
  const [index = 0, ...rest] = path;
  const message = messages[index];
  return message === undefined || rest.length === 0 ? message : messageAt(messagesIn(message), rest);
}

function readPlace(payload: Buffer): { path: number[]; length: number } | undefined {
  try {
    const reader = protobuf.Reader.create(payload);
    const count = reader.sint32();
    if (count < 0 || count > MAX_PATH) return undefined;
    const path = count === 0 ? [0] : Array.from({ length: count }, () => reader.sint32());
    return { path, length: reader.pos };
  } catch {
    return undefined;
  }
}

/**
 * A message as plain fields, in camelCase. Numbers of 64 bits become numbers, or bigints if they are too large, and
 * Google's wrappers and timestamps what they stand for. Bytes stay bytes: as text, they could pass for a phone.
 */
function read(type: protobuf.Type, payload: Buffer): Record<string, unknown> {
  // Not the reader that protobufjs takes for a Buffer: it gives what is left of a text cut short, maybe another's phone.
  const reader = new protobuf.Reader(payload);
  // Its own way with what isn't UTF-8 makes digits of bytes that are none.
  reader.string = () => utf8.decode(reader.bytes());
  const message = type.decode(reader);
  const plain = type.toObject(message, { longs: String, enums: String });
  for (const field of type.fieldsArray) {
    const sent: unknown = plain[field.name];
    const value = sent === undefined ? absent(field) : bare(field, sent);
    if (value === undefined) delete plain[field.name];
    else plain[field.name] = value;
  }
  return plain;
}

/** Where presence isn't told, as in proto3, an enum's first value isn't sent: an opt-in that nobody would see. */
function absent({ resolvedType, hasPresence, repeated, map }: protobuf.Field): unknown {
  if (hasPresence || repeated || map || !(resolvedType instanceof protobuf.Enum)) return undefined;
  const symbol = resolvedType.valuesById[0];
  return symbol === undefined ? undefined : enumWord(symbol, resolvedType.name);
}

const LONG = /^s?(?:u?int|fixed)64$/;
const WRAPPER = /^\.google\.protobuf\.(?:String|U?Int(?:32|64)|Bool|Double|Float)Value$/;

function bare({ type, resolvedType, repeated }: protobuf.Field, value: unknown): unknown {
  if (repeated) return value;
  if (LONG.test(type)) return wholeNumber(value);
  if (resolvedType instanceof protobuf.Enum && typeof value === "string") {
    return enumWord(value, resolvedType.name);
  }
  const of = resolvedType?.fullName;
  if (typeof value !== "object" || value === null || of === undefined) return value;
  const fields = new Map(Object.entries(value));
  if (of === ".google.protobuf.Timestamp") {
    const milliseconds = Number(fields.get("seconds") ?? 0) * 1_000;
    return new Date(milliseconds + Math.floor(Number(fields.get("nanos") ?? 0) / 1e6));
  }
  if (!WRAPPER.test(of)) return value;
  const inner: unknown = fields.get("value");
  return of.includes("64") ? wholeNumber(inner) : inner;
}

function wholeNumber(text: unknown): unknown {
  if (typeof text !== "string") return text;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

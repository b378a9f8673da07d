import protobuf from "protobufjs";
import descriptors from "protobufjs/ext/descriptor/index.js";
import { z } from "zod";

/** What is used of a `FieldDescriptorProto`, and so on, in google/protobuf/descriptor.proto. */
const fieldDescriptor = z.object({
  name: z.string(),
  number: z.number(),
  label: z.number(),
  type: z.number(),
  typeName: z.string().optional(),
  oneofIndex: z.number().optional(),
});
const enumDescriptor = z.object({
  name: z.string(),
  value: z.array(z.object({ name: z.string(), number: z.number() })),
});
const messageDescriptor = z.object({
  name: z.string(),
  field: z.array(fieldDescriptor).default([]),
  oneofDecl: z.array(z.object({ name: z.string() })).default([]),
  enumType: z.array(enumDescriptor).default([]),
  options: z.object({ mapEntry: z.boolean().default(false) }).optional(),
  get nestedType() {
    return z.array(messageDescriptor).default([]);
  },
});
const fileDescriptor = z.object({
  package: z.string().optional(),
  dependency: z.array(z.string()).default([]),
  messageType: z.array(messageDescriptor).default([]),
  enumType: z.array(enumDescriptor).default([]),
  syntax: z.enum(["proto2", "proto3"]).default("proto2"),
});
type MessageDescriptor = z.infer<typeof messageDescriptor>;

/** By the numbers of `FieldDescriptorProto.Type`; groups, messages and enums have the name of theirs. */
const TYPES = [
  ...["", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "", ""],
  ...["bytes", "uint32", "", "sfixed32", "sfixed64", "sint32", "sint64"],
];
const RULES = ["", "optional", "required", "repeated"];

/** The option of a message that only stands for the entries of a map, and that nobody wrote. */
export const MAP_ENTRY = "map_entry";

/**
 * Adds a .proto file that is given as its compiled descriptor in base64, which is how Confluent's clients for JavaScript,
 * Go, Python and .NET register it, and how registries other than Confluent's give it back. Throws if it isn't one.
 */
export function addDescriptor(
  root: protobuf.Root,
  base64: string,
): { package: string | undefined; imports: string[] } {
  const file = readDescriptor(base64);
  const nested = {
    ...byName(file.messageType, (each) => ({ ...messageJson(each), edition: file.syntax })),
    ...byName(file.enumType, (each) => ({ ...enumJson(each), edition: file.syntax })),
  };
  // An empty package is none.
  const name = file.package || undefined;
  if (name === undefined) root.addJSON(nested);
  else root.define(name, nested);
  return { package: name, imports: file.dependency };
}

function readDescriptor(base64: string): z.infer<typeof fileDescriptor> {
  const { FileDescriptorProto } = descriptors;
  const message = FileDescriptorProto.decode(new protobuf.Reader(Buffer.from(base64, "base64")));
  return fileDescriptor.parse(FileDescriptorProto.toObject(message));
}

/** How many messages, fields, enums and enum values the file of a descriptor declares. Throws if it isn't one. */
export function declarationsIn(base64: string): number {
  const sum = (counts: number[]): number => counts.reduce((total, count) => total + count, 0);
  const ofEnum = ({ value }: z.infer<typeof enumDescriptor>): number => 1 + value.length;
  const ofMessage = ({ field, oneofDecl, enumType, nestedType }: MessageDescriptor): number =>
    1 + field.length + oneofDecl.length + sum(enumType.map(ofEnum)) + sum(nestedType.map(ofMessage));
  const { messageType, enumType } = readDescriptor(base64);
  return sum(messageType.map(ofMessage)) + sum(enumType.map(ofEnum));
}

const byName = <T extends { name: string }, J>(all: readonly T[], toJson: (each: T) => J) =>
  Object.fromEntries(all.map((each) => [each.name, toJson(each)]));

const enumJson = ({ value }: z.infer<typeof enumDescriptor>) => ({
  values: Object.fromEntries(value.map(({ name, number }) => [name, number])),
});

function messageJson(message: MessageDescriptor): protobuf.IType {
  const nameOf = (field: { name: string }): string => protobuf.util.camelCase(field.name);
  const fields = message.field.map((field): [string, protobuf.IField] => [
    nameOf(field),
    {
      id: field.number,
      type: field.typeName ?? TYPES[field.type] ?? "",
      ...(RULES[field.label] !== "optional" && { rule: RULES[field.label] ?? "" }),
    },
  ]);
  const oneofs = message.oneofDecl.map((oneof, index): [string, protobuf.IOneOf] => [
    oneof.name,
    { oneof: message.field.filter(({ oneofIndex }) => oneofIndex === index).map(nameOf) },
  ]);
  return {
    fields: Object.fromEntries(fields),
    ...(oneofs.length > 0 && { oneofs: Object.fromEntries(oneofs) }),
    options: { [MAP_ENTRY]: message.options?.mapEntry ?? false },
    nested: { ...byName(message.nestedType, messageJson), ...byName(message.enumType, enumJson) },
  };
}

import descriptors from "protobufjs/ext/descriptor/index.js";

const OPTIONAL = 1;
const REPEATED = 3;
const TYPES = { int64: 3, string: 9, message: 11, enum: 14 };

const field = (name: string, number: number, more: object = {}): object => ({
  name,
  number,
  label: OPTIONAL,
  type: TYPES.string,
  ...more,
});

/**
 * The file of a `Wish` whose nested `Inner` holds the phone, as Confluent's clients for JavaScript, Go and Python
 * register it. An enum comes first in it, and a map's entries before `Inner`.
 */
export const WISH_DESCRIPTOR = Buffer.from(
  descriptors.FileDescriptorProto.encode(
    descriptors.FileDescriptorProto.fromObject({
      name: "wish.proto",
      package: "example.wishes",
      dependency: ["google/protobuf/timestamp.proto", "confluent/meta.proto"],
      syntax: "proto3",
      enumType: [{ name: "Action", value: ["opt_in", "opt_out"].map((name, number) => ({ name, number })) }],
      messageType: [
        {
          name: "Wish",
          field: [
            field("labels", 1, {
              label: REPEATED,
              type: TYPES.message,
              typeName: ".example.wishes.Wish.LabelsEntry",
            }),
          ],
          nestedType: [
            { name: "LabelsEntry", field: [field("key", 1), field("value", 2)], options: { mapEntry: true } },
            {
              name: "Inner",
              field: [
                field("phone", 3),
                field("event_id", 4),
                field("occurred_at", 5, { type: TYPES.message, typeName: ".google.protobuf.Timestamp" }),
                field("expires_at", 6, { type: TYPES.int64, oneofIndex: 0, proto3Optional: true }),
                field("action", 7, { type: TYPES.enum, typeName: ".example.wishes.Action" }),
              ],
              oneofDecl: [{ name: "_expires_at" }],
            },
          ],
        },
      ],
    }),
  ).finish(),
).toString("base64");

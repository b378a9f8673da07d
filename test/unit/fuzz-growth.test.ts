import { describe, test } from "node:test";
import { compileAvro } from "../../src/events/avro.ts";
import { createDecoder } from "../../src/events/decode.ts";
import { compileProtobuf } from "../../src/events/protobuf.ts";
import { MAX_SCHEMA_LENGTH, type RegistrySchema } from "../../src/events/registry-client.ts";
import { createIntake } from "../../src/gateway/intake.ts";
import { assertLinear } from "../support/growth.ts";

/** Bytes. Brokers take four times as much unless they are told to: what grows too fast shows before that. */
const MAX_RECORD = 262_144;
const MAX_GATEWAY_BODY = 16 * 1024;
const normalization = { defaultRegion: "US", regionBySource: {} } as const;

const AVRO = compileAvro(
  JSON.stringify({
    type: "record",
    name: "Wish",
    fields: [
      { name: "phone", type: "string" },
      { name: "tags", type: { type: "array", items: "long" } },
      { name: "labels", type: { type: "map", values: "int" } },
      { name: "next", type: ["null", "Wish"] },
    ],
  }),
  [],
);
const PROTOBUF = compileProtobuf(
  `syntax = "proto3"; message Wish { string phone = 1; repeated int64 tags = 2; map<string, int32> labels = 3; Wish next = 4; }`,
  [],
);
const decoderFor = (decode: RegistrySchema["decode"] | null) =>
  createDecoder({
    normalization,
    schemas: decode && { get: () => ({ decode }), load: async () => {}, close: () => {} },
  });

const repeat = (size: number, part: string): string => part.repeat(Math.ceil(size / part.length));
const numbered = (size: number, write: (index: number) => string): string => {
  const parts: string[] = [];
  for (let length = 0, index = 0; length < size; index += 1) {
    const part = write(index);
    parts.push(part);
    length += part.length;
  }
  return parts.join("");
};
const framed = (payload: Buffer): Buffer => Buffer.concat([Buffer.from([0, 0, 0, 0, 1]), payload]);
/** LEB128. */
const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];
const delimited = (field: number, bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from([field * 8 + 2, ...varint(bytes.length)]), bytes]);
/** A message in a message, and so on; each level has its length before it. */
const nestedMessages = (size: number): Buffer => {
  const heads: number[][] = [];
  for (let length = 0; length < size; ) {
    const head = [34, ...varint(length)];
    heads.push(head);
    length += head.length;
  }
  return Buffer.from([10, 0, ...heads.reverse().flat()]);
};

const phone = '"phone":"+12125550123"';
const JSON_TEXTS: Record<string, (size: number) => string> = {
  "a phone that is long": (size) => `{"phone":"${repeat(size, "1")}"}`,
  "a phone of many pluses": (size) => `{"phone":"${repeat(size, "+")}1"}`,
  "a type that is nearly an opt-in": (size) =>
    `{"specversion":"1.0","type":"${repeat(size, "opt")}","data":{${phone}}}`,
  "a type of capitals": (size) => `{"specversion":"1.0","type":"${repeat(size, "OPT")}","data":{${phone}}}`,
  "a type of opt-outs taken back": (size) =>
    `{"specversion":"1.0","type":"${repeat(size, " optout revok")}","data":{${phone}}}`,
  "a type of blanks": (size) => `{"specversion":"1.0","type":"a${repeat(size, " ")}b","data":{${phone}}}`,
  "a source of blanks": (size) => `{${phone},"source":"a${repeat(size, " ")}b"}`,
  "a source of underscores": (size) => `{${phone},"source":"${repeat(size, "_")}b"}`,
  "an id of controls": (size) => `{${phone},"eventId":"${repeat(size, "\\u0001")}"}`,
  "a time that never ends": (size) => `{${phone},"occurredAt":"2026-01-01T00:00:00.${repeat(size, "0")}Z"}`,
  "a region of blanks": (size) => `{${phone},"region":"${repeat(size, " ")}U"}`,
  "many members": (size) => `{${numbered(size, (index) => `"k${index}":1,`)}${phone}}`,
  "members that all are given twice": (size) =>
    `{${numbered(size, (index) => `"k${index >> 1}":${index},`)}${phone}}`,
  "one member again and again": (size) => `{${repeat(size, `${phone},`)}${phone}}`,
  "names that are escaped": (size) => `{${repeat(size, '"ph\\u006fne":"1",')}${phone}}`,
  backslashes: (size) => `{"a":"${repeat(size, "\\\\")}",${phone},"a":1}`,
  "quotes that are escaped": (size) => `{"a":"${repeat(size, '\\"')}",${phone},"a":1}`,
  depth: (size) => `{"a":${repeat(size / 2, "[")}${repeat(size / 2, "]")},${phone},"a":1}`,
  "a payload that is a text of many members": (size) =>
    JSON.stringify({
      specversion: "1.0",
      data: `{${numbered(size / 2, (index) => `"k${index}":1,`)}${phone}}`,
    }),
  "payloads again and again": (size) => `{"specversion":"1.0",${repeat(size, `"data":{${phone}},`)}"x":1}`,
  "a payload in base64": (size) => `{"specversion":"1.0","data_base64":"${repeat(size, "AAAA")}"}`,
  "digits that never end": (size) => `{"phone":${repeat(size, "1")}}`,
  "what isn't JSON, at its end": (size) => `{"a":"${repeat(size, "a")}"`,
};
const AVRO_RECORDS: Record<string, (size: number) => Buffer> = {
  "an array of small numbers": (size) =>
    Buffer.concat([Buffer.from([0, 0xfe, 0xff, 0xff, 0x7f]), Buffer.alloc(size)]),
  "blocks of one item": (size) =>
    Buffer.concat([Buffer.from([0]), Buffer.from(repeat(size, "\u0002\u0002"))]),
  "wishes within wishes": (size) => Buffer.from(repeat(size, "\0\0\0\u0002")),
  "a map of one name": (size) => Buffer.from(`\0\0${repeat(size, "\u0002\u0002a\u0002")}\0\0`),
};
const PROTOBUF_RECORDS: Record<string, (size: number) => Buffer> = {
  "packed numbers": (size) => Buffer.concat([Buffer.from([0]), delimited(2, Buffer.alloc(size, 1))]),
  "numbers one by one": (size) =>
    Buffer.concat([Buffer.from([0]), Buffer.from(repeat(size, "\u0010\u0001"))]),
  "a field again and again": (size) =>
    Buffer.concat([Buffer.from([0]), Buffer.from(repeat(size, "\n\u00051234\u0035"))]),
  "a map of one name": (size) =>
    Buffer.concat([Buffer.from([0]), Buffer.from(repeat(size, "\u001a\u0005\n\u0001a\u0010\u0001"))]),
  "fields that nobody knows": (size) =>
    Buffer.concat([Buffer.from([0]), Buffer.from(repeat(size, "\u0078\u0001"))]),
  "groups within groups": (size) => Buffer.concat([Buffer.from([0]), Buffer.alloc(size, 0x7b)]),
  "messages within messages": nestedMessages,
};

function assertEach(
  shapes: Record<string, (size: number) => Buffer | string>,
  run: (bytes: Buffer) => unknown,
  to = MAX_RECORD,
): void {
  for (const [what, write] of Object.entries(shapes)) {
    const work = (size: number) => {
      const bytes = Buffer.from(write(size));
      return () => void run(bytes);
    };
    assertLinear(what, work, { from: to / 64, to });
  }
}

describe("twice the bytes take about twice the time, whatever is in them", () => {
  test("events in JSON", () => {
    const decode = decoderFor(null);
    assertEach(JSON_TEXTS, (value) => decode({ value }));
  });

  test("attributes in headers", () => {
    const decode = decoderFor(null);
    const value = Buffer.from(`{${phone}}`);
    for (const name of [
      "ce_type",
      "ce_source",
      "ce_time",
      "ce_specversion",
      "content-type",
      "__value_schema_id",
    ]) {
      const shapes = {
        [`${name} of blanks`]: (size: number) => `application/cloudevents${repeat(size, " ")}x`,
        [`${name} of opt-ins`]: (size: number) => `application/cloudevents+${repeat(size, " optin revok")}`,
      };
      assertEach(shapes, (header) => decode({ value, headers: { [name]: header } }));
    }
  });

  test("events in Avro and Protobuf", () => {
    const avro = decoderFor(AVRO);
    assertEach(AVRO_RECORDS, (payload) => avro({ value: framed(payload) }));
    const proto = decoderFor(PROTOBUF);
    assertEach(PROTOBUF_RECORDS, (payload) => proto({ value: framed(payload) }));
  });

  test("schemas of a registry", () => {
    const shapes = {
      "blanks before the first statement": (size: number) =>
        `${repeat(size, " ")}syntax = "proto3"; message A {}`,
      "blanks and an equals sign": (size: number) => `A${repeat(size, "= ")};`,
      comments: (size: number) => `${repeat(size, "/**/")} message A {}`,
      "lines of comments": (size: number) => `${repeat(size, "// a\n")} message A {}`,
      "a comment that never ends": (size: number) => `/*${repeat(size, "* ")}`,
      "a text that never ends": (size: number) => `option a = "${repeat(size, '\\"')}`,
      slashes: (size: number) => `message A { ${repeat(size, "/ ")} }`,
      "base64 of nothing": (size: number) => repeat(size, "AAAA"),
    };
    const compile = (text: Buffer): void => {
      try {
        compileProtobuf(text.toString(), []);
      } catch {
        // That it can't be used is an answer.
      }
    };
    assertEach(shapes, compile, MAX_SCHEMA_LENGTH / 4);
  });

  test("bodies that the gateway takes", () => {
    const intake = createIntake(normalization);
    assertEach(JSON_TEXTS, (body) => intake({ body, idempotencyKey: undefined }), MAX_GATEWAY_BODY);
    const forms = {
      "many fields": (size: number) => numbered(size, (index) => `k${index}=1&`),
      "a phone of pluses": (size: number) => `phone=${repeat(size, "+")}1`,
      "a phone that was dialled": (size: number) => `phone=${repeat(size, "1 ")}%23${repeat(size, " ")}x`,
      "a name of blanks": (size: number) => `${repeat(size, "+")}=1`,
    };
    const form = (text: Buffer): URLSearchParams => new URLSearchParams(text.toString());
    assertEach(forms, (text) => intake({ body: form(text), idempotencyKey: undefined }), MAX_GATEWAY_BODY);
    const keys = {
      backslashes: (size: number) => `"${repeat(size, "\\")}`,
      quotes: (size: number) => repeat(size, '"'),
      blanks: (size: number) => `a${repeat(size, " ")}`,
    };
    const body = Buffer.from(`{${phone}}`);
    assertEach(keys, (key) => intake({ body, idempotencyKey: key.toString() }), MAX_GATEWAY_BODY);
  });
});

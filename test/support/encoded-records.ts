import { SchemaType } from "@kafkajs/confluent-schema-registry";
import type { IHeaders } from "kafkajs";
import { readPackageFile } from "../../src/package-files.ts";
import type { BadRecord } from "./bad-records.ts";
import { WISH_DESCRIPTOR } from "./proto-descriptor.ts";
import { phoneOf } from "./scenario.ts";
import type { Serializers } from "./serializers.ts";

/** An event in one of the encodings, and what is to be known of it. */
export interface GoodRecord {
  what: string;
  value: Buffer;
  headers?: IHeaders;
  phone: string;
  eventId?: string;
  source?: string;
  occurredAt?: string;
}

const PROTOBUF = `
  syntax = "proto3";
  package example;
  message Wish { string phone = 1; string event_id = 2; }
  message Wrapper { message Other { string name = 1; } message Inner { string phone = 3; } }`;
const NEWER_PROTOBUF = PROTOBUF.replace("event_id = 2;", "event_id = 2; string channel = 4;");
const WISH = { type: "record", name: "Wish", fields: [{ name: "phone", type: "string" }] };
const NEWER_WISH = {
  ...WISH,
  fields: [
    { name: "channel", type: ["null", "string"], default: null },
    ...WISH.fields,
    { name: "eventId", type: ["null", "string"], default: null },
  ],
};
const avroPhone = (type: string) => ({ type: "record", name: "Odd", fields: [{ name: "phone", type }] });

/** The schemas of several producers, some in two versions. */
async function registerAll({ register, registerText }: Serializers) {
  const { AVRO, JSON: JSON_SCHEMA, PROTOBUF: PROTO } = SchemaType;
  return {
    event: await register("event", AVRO, readPackageFile("schemas/opt-out-event.avsc")),
    older: await register("wish", AVRO, WISH),
    newer: await register("wish", AVRO, NEWER_WISH),
    number: await register("number", AVRO, avroPhone("long")),
    fraction: await register("fraction", AVRO, avroPhone("double")),
    boolean: await register("boolean", AVRO, avroPhone("boolean")),
    order: await register("order", AVRO, {
      type: "record",
      name: "Order",
      fields: [{ name: "total", type: "int" }],
    }),
    json: await register("json", JSON_SCHEMA, { type: "object", properties: { phone: {} } }),
    proto: await register("proto", PROTO, PROTOBUF),
    descriptor: await registerText("descriptor", "PROTOBUF", WISH_DESCRIPTOR),
    newerProto: await register("proto", PROTO, NEWER_PROTOBUF),
  };
}

const idOf = (id: number): Buffer => {
  const bytes = Buffer.alloc(5);
  bytes.writeInt32BE(id, 1);
  return bytes;
};
const frame = (id: number, ...payload: (Buffer | string)[]): Buffer =>
  Buffer.concat([idOf(id), ...payload.map((part) => Buffer.from(part))]);
/** A Protobuf field of text. */
const field = (number: number, text: string): Buffer =>
  Buffer.from([(number << 3) | 2, text.length, ...Buffer.from(text)]);
/** A schema as the newer serializers name it. */
const named = (...parts: Buffer[]): IHeaders => ({ __value_schema_id: Buffer.concat(parts) });
const GUID = Buffer.from("010f1e2d3c4b5a69788796a5b4c3d2e1f0", "hex");
/** Zig-zag varints: of `Wish`, in its long form; of `Wrapper.Inner`; of `Wish.…`, which has none. */
const FIRST = Buffer.from([2, 0]);
const INNER = Buffer.from([4, 2, 2]);
const NOWHERE = Buffer.from([4, 0, 2]);

/** In the descriptor's file: the first nested message of the first, and its action. */
const PLACE_OF_INNER_WISH = Buffer.from([4, 0, 0]);
const OPT_OUT = Buffer.from([56, 1]);

const asked = "2026-03-01T09:00:00Z";
const ATTRIBUTES = { specversion: "1.0", source: "kiosk", type: "com.example.optout", time: asked };
const STRUCTURED = { "content-type": "application/cloudevents+json; charset=utf-8" };
const binary = (id: string, more: Record<string, string> = {}): IHeaders =>
  Object.fromEntries(
    Object.entries({ ...ATTRIBUTES, ...more, id }).map(([name, value]) => [`ce_${name}`, value]),
  );
const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** Every way to say that the person of a phone wants no calls; each has a phone of its own, from index `from` on. */
export async function createGoodRecords(serializers: Serializers, from: number): Promise<GoodRecord[]> {
  const id = await registerAll(serializers);
  const { encode } = serializers;
  const payload = async (of: number, value: object): Promise<Buffer> => (await encode(of, value)).subarray(5);
  const makers: ((phone: string, eventId: string) => Promise<Omit<GoodRecord, "phone">>)[] = [
    async (phone, eventId) => ({ what: "JSON", value: bytes({ phone, eventId }), eventId }),
    async (phone, eventId) => ({ what: "Avro", value: await encode(id.event, { phone, eventId }), eventId }),
    async (phone) => ({ what: "older Avro", value: await encode(id.older, { phone }) }),
    async (phone, eventId) => ({
      what: "newer Avro",
      value: await encode(id.newer, { channel: "shop", phone, eventId }),
      eventId,
    }),
    async (phone) => ({ what: "an Avro number", value: await encode(id.number, { phone: Number(phone) }) }),
    async (phone, eventId) => ({
      what: "JSON Schema",
      value: await encode(id.json, { phone, eventId }),
      eventId,
    }),
    async (phone, eventId) => ({
      what: "Protobuf by the library of kafkajs, without a place",
      value: await encode(id.proto, { phone, eventId }),
      eventId,
    }),
    async (phone, eventId) => ({
      what: "newer Protobuf",
      value: await encode(id.newerProto, { phone, eventId, channel: "shop" }),
      eventId,
    }),
    async (phone) => ({
      what: "Protobuf, first message in short",
      value: frame(id.proto, "\0", field(1, phone)),
    }),
    async (phone) => ({ what: "Protobuf, first message", value: frame(id.proto, FIRST, field(1, phone)) }),
    async (phone) => ({ what: "Protobuf, a nested message", value: frame(id.proto, INNER, field(3, phone)) }),
    async (phone, eventId) => ({
      what: "Protobuf of a file registered as its descriptor",
      value: frame(id.descriptor, PLACE_OF_INNER_WISH, field(3, phone), field(4, eventId), OPT_OUT),
      eventId,
    }),
    async (phone, eventId) => ({
      what: "Avro, named by a header",
      value: await payload(id.event, { phone, eventId }),
      headers: named(idOf(id.event)),
      eventId,
    }),
    async (phone) => ({
      what: "JSON, named by a header",
      value: bytes({ phone }),
      headers: named(idOf(id.json)),
    }),
    async (phone) => ({
      what: "Protobuf, named and placed by a header",
      value: field(3, phone),
      headers: named(idOf(id.proto), INNER),
    }),
    async (phone, eventId) => ({
      what: "a CloudEvent",
      value: bytes({ ...ATTRIBUTES, id: eventId, data: { phone, source: "web" } }),
      headers: STRUCTURED,
      ...{ eventId, occurredAt: asked, source: "web" },
    }),
    async (phone, eventId) => ({
      what: "a CloudEvent without its header",
      value: bytes({ ...ATTRIBUTES, id: eventId, data: { phone } }),
      ...{ eventId, occurredAt: asked, source: "kiosk" },
    }),
    async (phone, eventId) => ({
      what: "a CloudEvent around framed Avro",
      value: bytes({
        ...ATTRIBUTES,
        id: eventId,
        data_base64: (await encode(id.older, { phone })).toString("base64"),
      }),
      headers: STRUCTURED,
      ...{ eventId, occurredAt: asked, source: "kiosk" },
    }),
    async (phone, eventId) => ({
      what: "a binary CloudEvent",
      value: bytes({ phone, occurredAt: "2026-02-01T00:00:00Z" }),
      headers: { ...binary(eventId), "content-type": "application/json" },
      ...{ eventId, occurredAt: "2026-02-01T00:00:00Z", source: "kiosk" },
    }),
    async (phone, eventId) => ({
      what: "a binary CloudEvent of framed Avro",
      value: await encode(id.event, { phone, source: "ivr" }),
      headers: binary(eventId),
      ...{ eventId, occurredAt: asked, source: "ivr" },
    }),
    async (phone, eventId) => ({
      what: "a binary CloudEvent of Protobuf, named by a header",
      value: field(1, phone),
      headers: { ...binary(eventId), ...named(idOf(id.proto), Buffer.from([0])) },
      ...{ eventId, occurredAt: asked, source: "kiosk" },
    }),
  ];
  return Promise.all(
    makers.map(async (make, index) => {
      const phone = phoneOf(from + index);
      return { ...(await make(phone, `encoded-${index}`)), phone };
    }),
  );
}

const undecodable = (says: RegExp) => ({ reason: "undecodable", says }) as const;
const unsupported = (says: RegExp) => ({ reason: "unsupported_cloudevent", says }) as const;
const invalid = (says: RegExp) => ({ reason: "invalid_phone", says }) as const;
const unknown = (says: RegExp) => ({ reason: "unknown_schema", says }) as const;

/** What only records with a schema, or around an event, can have wrong. */
export async function createBadRecords(serializers: Serializers): Promise<BadRecord[]> {
  const id = await registerAll(serializers);
  const { encode } = serializers;
  const phone = phoneOf(0);
  const avro = await encode(id.event, { phone });
  const fits = /but its payload does not fit that schema$/;
  const cloudEvent = (more: object): Buffer => bytes({ ...ATTRIBUTES, id: "bad", data: { phone }, ...more });
  const typed = (type: string): IHeaders => ({ "content-type": type });
  return [
    { what: "an unknown id", value: frame(2_000_000_001, avro), ...unknown(/does not know$/) },
    { what: "a GUID", value: avro.subarray(5), headers: named(GUID), ...unknown(/GUID 0f1e2d3c-4b5a-/) },
    { what: "Avro cut short", value: avro.subarray(0, 12), ...undecodable(fits) },
    { what: "Avro with more behind it", value: Buffer.concat([avro, avro]), ...undecodable(fits) },
    {
      what: "Avro of another record",
      value: await encode(id.order, { total: 7 }),
      reason: "missing_phone",
      says: new RegExp(`with schema id ${id.order}\\)$`),
    },
    { what: "a fraction in Avro", value: await encode(id.fraction, { phone: 0.5 }), ...invalid(/fraction/) },
    { what: "a boolean in Avro", value: await encode(id.boolean, { phone: true }), ...invalid(/boolean$/) },
    { what: "no JSON, framed", value: frame(id.json, "{"), ...undecodable(fits) },
    {
      what: "two phones, framed",
      value: frame(id.json, `{"phone":"${phone}","phone":"1"}`),
      reason: "ambiguous_field",
      says: /^phone is given more than once/,
    },
    {
      what: "Protobuf of no message",
      value: frame(id.proto, NOWHERE, field(3, phone)),
      ...undecodable(fits),
    },
    {
      what: "Protobuf cut short",
      value: frame(id.proto, "\0", field(1, phone).subarray(0, 9)),
      ...undecodable(fits),
    },
    {
      what: "a header that names no schema",
      value: bytes({ phone }),
      headers: { __value_schema_id: "7" },
      ...undecodable(/names no schema/),
    },
    {
      what: "a batch of CloudEvents",
      value: Buffer.concat([Buffer.from("["), cloudEvent({}), Buffer.from("]")]),
      headers: typed("application/cloudevents-batch+json"),
      ...unsupported(/batch/),
    },
    {
      what: "a CloudEvent in Avro",
      value: avro,
      headers: typed("application/cloudevents+avro"),
      ...unsupported(/format other than JSON/),
    },
    {
      what: "an older CloudEvent",
      value: cloudEvent({ specversion: "0.3" }),
      headers: STRUCTURED,
      ...unsupported(/specversion/),
    },
    {
      what: "an older binary CloudEvent",
      value: bytes({ phone, older: true }),
      headers: binary("bad", { specversion: "0.2" }),
      ...unsupported(/specversion/),
    },
    {
      what: "a CloudEvent without data",
      value: cloudEvent({ data: null }),
      headers: STRUCTURED,
      reason: "missing_phone",
      says: /no data/,
    },
    {
      what: "a CloudEvent with other data",
      value: cloudEvent({ data: [phone] }),
      headers: STRUCTURED,
      ...undecodable(/^the data of the CloudEvent is not an object$/),
    },
    {
      what: "a CloudEvent of an opt-in",
      value: bytes({ phone, source: "web" }),
      headers: binary("bad", { type: "com.example.opt-in" }),
      reason: "unsupported_action",
      says: /type is that of an opt-in$/,
    },
  ];
}

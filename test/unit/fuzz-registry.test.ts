import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { compileAvro } from "../../src/events/avro.ts";
import { compileProtobuf } from "../../src/events/protobuf.ts";
import { fetchSchema } from "../../src/events/registry-client.ts";
import { fuzz, fuzzAsync, hostileJson, mutated, mutatedText } from "../support/fuzz.ts";
import { WISH_DESCRIPTOR } from "../support/proto-descriptor.ts";
import { listen } from "./delivery-http-fixture.ts";

const AVRO = readFileSync("schemas/opt-out-event.avsc", "utf8");
const PROTOBUF = `syntax = "proto3"; package a.b; import "google/protobuf/timestamp.proto"; option x = "y";
  message Wish { string phone = 1; google.protobuf.Timestamp at = 2; oneof o { int64 n = 3; } map<string, Inner> m = 4;
  enum Action { NONE = 0; OPT_OUT = 1; } message Inner { Action action = 1; Wish wish = 2; } reserved 9; } // end`;
const RECURSIVE =
  '{"type":"record","name":"R","fields":[{"name":"phone","type":["null","string","R"]},{"name":"list","type":{"type":"array","items":"R"}}]}';
const PAYLOADS = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));

/** A schema that reads a payload or throws an error; or one that can't be used. Nothing escapes as anything else. */
function check(compile: typeof compileAvro, schema: string, payload: Buffer): void {
  try {
    const decode = compile(schema, []);
    decode(payload);
  } catch (error) {
    assert.ok(error instanceof Error, String(error));
  }
}

describe("whatever a registry answers", () => {
  test("schemas of which some characters changed compile and read, or throw", () => {
    fuzz(
      fc.tuple(mutatedText([AVRO, RECURSIVE]), PAYLOADS),
      ([schema, payload]) => check(compileAvro, schema, payload),
      400,
    );
    fuzz(
      fc.tuple(mutatedText([PROTOBUF]), PAYLOADS),
      ([schema, payload]) => check(compileProtobuf, schema, payload),
      400,
    );
    const descriptor = mutated([Buffer.from(WISH_DESCRIPTOR, "base64")]).map((bytes) =>
      bytes.toString("base64"),
    );
    fuzz(fc.tuple(descriptor, PAYLOADS), ([schema, payload]) => check(compileProtobuf, schema, payload), 600);
  });

  test("schemas of the words that count, in any order, and names that objects inherit", () => {
    const words = [
      "type",
      "record",
      "name",
      "fields",
      "items",
      "values",
      "symbols",
      "array",
      "map",
      "enum",
      "fixed",
      "size",
      "string",
      "long",
      "logicalType",
      "decimal",
      "default",
      "aliases",
      "namespace",
    ];
    fuzz(
      fc.tuple(hostileJson(words), PAYLOADS),
      ([schema, payload]) => check(compileAvro, schema, payload),
      400,
    );
    const named = fc.constantFrom(
      "__proto__",
      "constructor",
      "prototype",
      "toString",
      "hasOwnProperty",
      "valueOf",
      "$type",
    );
    fuzz(
      fc.tuple(named, named, PAYLOADS),
      ([one, other, payload]) => {
        check(
          compileProtobuf,
          `syntax = "proto3"; package ${one}; message ${other} { string ${one} = 1; message ${one} { ${one} ${other} = 1; } }`,
          payload,
        );
        check(
          compileProtobuf,
          `message A { optional string ${one} = 1; map<string, string> ${other} = 2; } enum ${one} { ${other} = 0; }`,
          payload,
        );
        check(
          compileAvro,
          JSON.stringify({
            type: "record",
            name: "A",
            fields: [
              { name: one, type: "string" },
              { name: other, type: { type: "map", values: "string" } },
            ],
          }),
          payload,
        );
      },
      200,
    );
  });

  test("answers that are nearly HTTP or nearly a schema are a schema, a refusal or a reason to ask again", async (t) => {
    let answer: Buffer = Buffer.alloc(0);
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", () => socket.end(answer));
    });
    const url = await listen(t, server);
    const http = (body: string, status = "200 OK"): Buffer =>
      Buffer.from(
        `HTTP/1.1 ${status}\r\ncontent-type: application/vnd.schemaregistry.v1+json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
    const seeds = [
      http(JSON.stringify({ schema: AVRO })),
      http(
        JSON.stringify({
          schema: PROTOBUF,
          schemaType: "PROTOBUF",
          references: [{ name: "n", subject: "s", version: 1 }],
        }),
      ),
      http(JSON.stringify({ schema: "{}", schemaType: "JSON" })),
      http('{"error_code":40403,"message":"no"}', "404 Not Found"),
      http('{"error_code":401}', "401 Unauthorized"),
      Buffer.from("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"),
    ];
    const id = fc.constantFrom<number | string>(1, 2 ** 31 - 1, "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0");
    await fuzzAsync(
      fc.tuple(mutated(seeds), id),
      async ([bytes, schemaId]) => {
        answer = bytes;
        const found = await fetchSchema({ url }, schemaId, {
          timeoutMs: 300,
          signal: new AbortController().signal,
        });
        if (typeof found === "string") assert.ok(["unknown", "unusable"].includes(found));
        else if ("why" in found) assert.doesNotMatch(found.why, /127\.0\.0\.1|https?:/);
        else assert.equal(typeof found.decode, "function");
      },
      300,
    );
  });
});

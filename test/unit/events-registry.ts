import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import type { RegistrySchema, SchemaId } from "../../src/events/registry-client.ts";
import {
  createSchemaCache,
  type SchemaCache,
  type SchemaCacheOptions,
} from "../../src/events/schema-cache.ts";
import { silentLogger } from "../../src/observability/logger.ts";

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

export const json =
  (status: number, body: unknown): Answer =>
  (response) => {
    response.writeHead(status, { "content-type": "application/vnd.schemaregistry.v1+json" });
    response.end(JSON.stringify(body));
  };

export const avroSchema = readFileSync("schemas/opt-out-event.avsc", "utf8");
export const schema = json(200, { schema: avroSchema });
export const notFound = json(404, { error_code: 40403, message: "Schema not found" });
export const neverAnswer: Answer = () => {};
export const drop: Answer = (response) => response.destroy();
export const cutShort: Answer = (response) => {
  response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
  response.write('{"schema":', () => response.destroy());
};

/** A registry that gives the answers in turn, the last one again and again. */
export async function registry(t: TestContext, ...answers: Answer[]) {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const answer = answers[Math.min(requests.length, answers.length) - 1];
    answer?.(response, request);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests };
}

const FAST = { initial: 1, maximum: 5 };

export function cacheFor(
  t: TestContext,
  url: string,
  options: Partial<SchemaCacheOptions> = {},
): SchemaCache {
  const cache = createSchemaCache({
    registry: { url },
    requestTimeoutMs: 10_000,
    logger: silentLogger(),
    now: () => 0,
    backoff: FAST,
    confirmAfterMs: 0,
    ...options,
  });
  t.after(() => cache.close());
  return cache;
}

export function usable(cache: SchemaCache, id: SchemaId): RegistrySchema {
  const entry = cache.get(id);
  assert.ok(typeof entry === "object");
  return entry;
}

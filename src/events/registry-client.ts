import { request } from "undici";
import { z } from "zod";
import { timeLimit } from "../time-limit.ts";
import { withoutTrailingSlashes } from "../trailing-slashes.ts";
import { decodeUtf8, parseJson } from "./json.ts";

export interface RegistryConnection {
  url: string;
  username?: string | undefined;
  password?: string | undefined;
}

/** The number that a registry gave a schema; or its GUID, a hash of its content, in lower case with hyphens. */
export type SchemaId = number | string;

/** A schema ready for use. `decode` is synchronous, takes the payload after the frame, and throws if it doesn't fit. */
export interface RegistrySchema {
  decode(payload: Buffer): unknown;
}

export type SchemaAnswer =
  | RegistrySchema
  /** The registry says that it has no such schema; or it has none by GUID at all. */
  | "unknown"
  /** It has, but of a type or with a content that can't be used. */
  | "unusable"
  /** It gave no answer that counts. `why` is for a log line: it holds no URL and no secret. */
  | { why: string };

export interface FetchOptions {
  /** For each request, in milliseconds: a schema that refers to others needs several. */
  timeoutMs: number;
  signal: AbortSignal;
  /** What earlier attempts found of the schemas that this one refers to; what this attempt finds is added. */
  found?: FoundReferences;
}

export type FoundReferences = Map<string, FoundSchema>;

/**
 * Asks the registry for one schema and those it refers to, once each. Never throws; each request ends by its timeout or
 * the signal.
 *
 * Over plain HTTP, to know what was answered: @kafkajs/confluent-schema-registry reports a refused connection as status
 * 400, doesn't tell a missing schema from a wrong path, knows no GUIDs, has no timeout, and reads of a Protobuf file
 * only the first message. Its engines, avsc and protobufjs, are what reads the payloads.
 */
export async function fetchSchema(
  connection: RegistryConnection,
  id: SchemaId,
  options: FetchOptions,
): Promise<SchemaAnswer> {
  const ask: Ask = (path) => askRegistry(connection, path, timeLimit(options.timeoutMs, options.signal));
  try {
    const found = await ask(typeof id === "number" ? `/schemas/ids/${id}` : `/schemas/guids/${id}`);
    if (found === "not_found") return "unknown";
    if (found === "too_large") return "unusable";
    if ("schema" in found) return await usableSchema(found, ask, options.found ?? new Map());
    const noGuids = typeof id === "string" && found.status === 404 && (await isRegistry(ask));
    return noGuids ? "unknown" : { why: explainStatus(found.status) };
  } catch (error) {
    return { why: isTimeout(error) ? `no answer within ${options.timeoutMs} ms` : explain(error) };
  }
}

/** Registries leave the type out for Avro. */
const schemaBody = z.object({
  schema: z.string(),
  schemaType: z.string().default("AVRO"),
  references: z.array(z.object({ subject: z.string(), version: z.number() })).nullish(),
});
type FoundSchema = z.infer<typeof schemaBody>;
const errorBody = z.object({ error_code: z.number() });

/** Schema, subject and version not found, as in Confluent's API reference. A wrong path has 404 or no code at all. */
const NOT_FOUND_CODES = [40401, 40402, 40403];

type Ask = (
  path: string,
) => Promise<FoundSchema | "not_found" | "too_large" | { status: number; body: unknown }>;

/** Bytes of an answer. Registries keep each schema in one record of Kafka, which takes no more unless it is told to. */
const MAX_ANSWER_BYTES = 1024 * 1024;

async function askRegistry(
  { url, username, password }: RegistryConnection,
  path: string,
  signal: AbortSignal,
): ReturnType<Ask> {
  const credentials = Buffer.from(`${username ?? ""}:${password ?? ""}`).toString("base64");
  const response = await request(withoutTrailingSlashes(url) + path, {
    signal,
    headers: {
      accept: "application/vnd.schemaregistry.v1+json, application/json",
      ...(username !== undefined && { authorization: `Basic ${credentials}` }),
    },
  });
  const status = response.statusCode;
  const text = await textOf(response.body);
  const isJson = /json/i.test(String(response.headers["content-type"]));
  if (text === undefined) return status === 200 && isJson ? "too_large" : { status, body: undefined };
  const body = readJson(text);
  const found = schemaBody.safeParse(body);
  if (status === 200 && found.success) return found.data;
  const code = errorBody.safeParse(body).data?.error_code;
  if (status === 404 && code !== undefined && NOT_FOUND_CODES.includes(code)) return "not_found";
  return { status, body };
}

/** Undefined: it is too large, and the rest of it isn't read. */
async function textOf(body: AsyncIterable<Buffer>): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) return undefined;
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

/** Whether the path is right, and it was the resource that isn't there: registries older than GUIDs have none by GUID. */
async function isRegistry(ask: Ask): Promise<boolean> {
  const types = await ask("/schemas/types");
  return typeof types === "object" && "body" in types && types.status === 200 && Array.isArray(types.body);
}

async function usableSchema(schema: FoundSchema, ask: Ask, found: FoundReferences): Promise<SchemaAnswer> {
  // The payload is JSON whatever the schema says, and the relay has its own rules for every field. Compiling it would
  // only refuse the drafts and formats that a validator doesn't know.
  if (schema.schemaType === "JSON") return { decode: (payload) => parseJson(decodeUtf8(payload)) };
  const loadCompiler = COMPILERS.get(schema.schemaType);
  if (loadCompiler === undefined || schema.schema.length > MAX_SCHEMA_LENGTH) return "unusable";
  const references = new Map<string, string>();
  const failed = await addReferences(schema, { ask, found, references });
  if (failed !== undefined) return failed;
  const compile = await loadCompiler();
  try {
    return { decode: compile(schema.schema, [...references.values()]) };
  } catch {
    return "unusable";
  }
}

/** Loaded when a schema is of their kind: most relays need one of them, or none. */
const COMPILERS = new Map([
  ["AVRO", async () => (await import("./avro.ts")).compileAvro],
  ["PROTOBUF", async () => (await import("./protobuf.ts")).compileProtobuf],
]);

/** Far more than a schema has; a registry that refers in circles, or without end, is not followed. */
const MAX_REFERENCES = 100;
/** Characters, of a schema and of all that it refers to: nothing else is done while they are compiled. */
export const MAX_SCHEMA_LENGTH = 512 * 1024;

interface Search {
  ask: Ask;
  found: FoundReferences;
  /** Texts, each after those it needs itself. */
  references: Map<string, string>;
}

/** Adds what a schema refers to, each once and after what it refers to itself; returns what stood in the way, if anything. */
async function addReferences(
  schema: FoundSchema,
  search: Search,
  parents: readonly string[] = [],
): Promise<Exclude<SchemaAnswer, RegistrySchema> | undefined> {
  const { ask, found, references } = search;
  for (const { subject, version } of schema.references ?? []) {
    const path = `/subjects/${encodeURIComponent(subject)}/versions/${version}?deleted=true`;
    if (references.has(path)) continue;
    if (parents.includes(path) || references.size + parents.length >= MAX_REFERENCES) return "unusable";
    const answer = found.get(path) ?? (await ask(path));
    if (answer === "not_found" || answer === "too_large") return "unusable";
    if (!("schema" in answer)) {
      return { why: `${explainStatus(answer.status)}, for a schema that it refers to` };
    }
    found.set(path, answer);
    if (lengthOf(found) > MAX_SCHEMA_LENGTH) return "unusable";
    const failed = await addReferences(answer, search, [...parents, path]);
    if (failed !== undefined) return failed;
    references.set(path, answer.schema);
  }
  return undefined;
}

const lengthOf = (found: FoundReferences): number =>
  [...found.values()].reduce((sum, { schema }) => sum + schema.length, 0);

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function explainStatus(status: number): string {
  if (status === 200) return "an answer that is not a schema (a proxy's?)";
  if (status === 401) return "HTTP 401: check schemaRegistry.username and schemaRegistry.password";
  if (status === 403) return "HTTP 403: the registry's user may not read schemas";
  if (status === 404) return "HTTP 404 that is not the registry's own: check the path in schemaRegistry.url";
  return `HTTP ${status}`;
}

const isTimeout = (error: unknown): boolean => error instanceof Error && error.name === "TimeoutError";

const failure = z.object({ code: z.string() });

/** The code alone: messages name hosts and ports. */
function explain(error: unknown): string {
  const code = failure.safeParse(error).data?.code;
  return code === undefined ? "the connection failed" : `the connection failed (${code})`;
}

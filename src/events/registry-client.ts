import { request } from "undici";
import { z } from "zod";
import { compileAvro } from "./avro.ts";
import { decodeUtf8, parseJson } from "./json.ts";
import { compileProtobuf } from "./protobuf.ts";

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

/**
 * Asks the registry for one schema and those it refers to, once each. Never throws, and ends by the timeout (in
 * milliseconds) or the signal.
 *
 * Over plain HTTP, to know what was answered: @kafkajs/confluent-schema-registry reports a refused connection as status
 * 400, doesn't tell a missing schema from a wrong path, knows no GUIDs, has no timeout, and reads of a Protobuf file
 * only the first message. Its engines, avsc and protobufjs, are what reads the payloads.
 */
export async function fetchSchema(
  connection: RegistryConnection,
  id: SchemaId,
  options: { timeoutMs: number; signal: AbortSignal },
): Promise<SchemaAnswer> {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const signal = AbortSignal.any([timeout, options.signal]);
  const ask: Ask = (path) => askRegistry(connection, path, signal);
  try {
    const found = await ask(typeof id === "number" ? `/schemas/ids/${id}` : `/schemas/guids/${id}`);
    if (found === "not_found") return "unknown";
    if ("schema" in found) return await usableSchema(found, ask);
    const noGuids = typeof id === "string" && found.status === 404 && (await isRegistry(ask));
    return noGuids ? "unknown" : { why: explainStatus(found.status) };
  } catch (error) {
    return { why: timeout.aborted ? `no answer within ${options.timeoutMs} ms` : explain(error) };
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

type Ask = (path: string) => Promise<FoundSchema | "not_found" | { status: number; body: unknown }>;

async function askRegistry(
  { url, username, password }: RegistryConnection,
  path: string,
  signal: AbortSignal,
): ReturnType<Ask> {
  const credentials = Buffer.from(`${username ?? ""}:${password ?? ""}`).toString("base64");
  const response = await request(url.replace(/\/+$/, "") + path, {
    signal,
    headers: {
      accept: "application/vnd.schemaregistry.v1+json, application/json",
      ...(username !== undefined && { authorization: `Basic ${credentials}` }),
    },
  });
  const status = response.statusCode;
  const body = readJson(await response.body.text());
  const found = schemaBody.safeParse(body);
  if (status === 200 && found.success) return found.data;
  const code = errorBody.safeParse(body).data?.error_code;
  if (status === 404 && code !== undefined && NOT_FOUND_CODES.includes(code)) return "not_found";
  return { status, body };
}

/** Whether the path is right, and it was the resource that isn't there: registries older than GUIDs have none by GUID. */
async function isRegistry(ask: Ask): Promise<boolean> {
  const types = await ask("/schemas/types");
  return typeof types === "object" && "body" in types && types.status === 200 && Array.isArray(types.body);
}

async function usableSchema(found: FoundSchema, ask: Ask): Promise<SchemaAnswer> {
  // The payload is JSON whatever the schema says, and the relay has its own rules for every field. Compiling it would
  // only refuse the drafts and formats that a validator doesn't know.
  if (found.schemaType === "JSON") return { decode: (payload) => parseJson(decodeUtf8(payload)) };
  const compile = COMPILERS.get(found.schemaType);
  if (compile === undefined) return "unusable";
  const references = new Map<string, string>();
  const failed = await addReferences(found, ask, references);
  if (failed !== undefined) return failed;
  try {
    return { decode: compile(found.schema, [...references.values()]) };
  } catch {
    return "unusable";
  }
}

const COMPILERS = new Map([
  ["AVRO", compileAvro],
  ["PROTOBUF", compileProtobuf],
]);

/** Far more than a schema has; a registry that refers in circles, or without end, is not followed. */
const MAX_REFERENCES = 100;

/** Adds what a schema refers to, each once and after what it refers to itself; returns what stood in the way, if anything. */
async function addReferences(
  { references }: FoundSchema,
  ask: Ask,
  known: Map<string, string>,
  parents: readonly string[] = [],
): Promise<Exclude<SchemaAnswer, RegistrySchema> | undefined> {
  for (const { subject, version } of references ?? []) {
    const path = `/subjects/${encodeURIComponent(subject)}/versions/${version}?deleted=true`;
    if (known.has(path)) continue;
    if (parents.includes(path) || known.size + parents.length >= MAX_REFERENCES) return "unusable";
    const found = await ask(path);
    if (found === "not_found") return "unusable";
    if (!("schema" in found))
      return { why: `${explainStatus(found.status)}, for a schema that it refers to` };
    const failed = await addReferences(found, ask, known, [...parents, path]);
    if (failed !== undefined) return failed;
    known.set(path, found.schema);
  }
  return undefined;
}

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

const failure = z.object({ code: z.string() });

/** The code alone: messages name hosts and ports. */
function explain(error: unknown): string {
  const code = failure.safeParse(error).data?.code;
  return code === undefined ? "the connection failed" : `the connection failed (${code})`;
}

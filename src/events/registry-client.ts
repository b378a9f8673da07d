import { SchemaRegistry, SchemaType } from "@kafkajs/confluent-schema-registry";
import { request } from "undici";
import { z } from "zod";
import { orAbort } from "./abort.ts";

export interface RegistryConnection {
  url: string;
  username?: string | undefined;
  password?: string | undefined;
}

/** A schema ready for use. `decode` is synchronous, takes the payload after the frame, and throws if it doesn't fit. */
export interface RegistrySchema {
  decode(payload: Buffer): unknown;
}

export type SchemaAnswer =
  | RegistrySchema
  /** The registry says that it has no such schema. */
  | "unknown"
  /** It has, but of a type or with a content that can't be used. */
  | "unusable"
  /** It gave no answer that counts. `why` is for a log line: it holds no URL and no secret. */
  | { why: string };

/**
 * Asks the registry for one schema, once. Never throws, and ends by the timeout (in milliseconds) or the signal.
 *
 * First over plain HTTP, to know what was answered: the library reports a refused connection as status 400, and a
 * 404 without the error code that tells a missing schema from a wrong path. Then through the library, which resolves
 * references and compiles. Its instance is thrown away: it has no timeout, and an answer cut short leaves it with a
 * promise that never settles and that every later caller of the same id would be given.
 */
export async function fetchSchema(
  connection: RegistryConnection,
  id: number,
  options: { timeoutMs: number; signal: AbortSignal },
): Promise<SchemaAnswer> {
  const timeout = AbortSignal.timeout(options.timeoutMs);
  const signal = AbortSignal.any([timeout, options.signal]);
  try {
    const found = await askForSchema(connection, id, signal);
    return typeof found === "object" && "schemaType" in found
      ? await usableSchema(connection, id, found.schemaType, signal)
      : found;
  } catch (error) {
    return { why: timeout.aborted ? `no answer within ${options.timeoutMs} ms` : explain(error) };
  }
}

/** Registries leave the type out for Avro. */
const schemaBody = z.object({ schema: z.string(), schemaType: z.string().default("AVRO") });
const errorBody = z.object({ error_code: z.number() });

/** Schema, subject and version not found, as in Confluent's API reference. A wrong path has 404 or no code at all. */
const NOT_FOUND_CODES = [40401, 40402, 40403];

async function askForSchema(
  connection: RegistryConnection,
  id: number,
  signal: AbortSignal,
): Promise<{ schemaType: string } | "unknown" | { why: string }> {
  const { username, password } = connection;
  const credentials = Buffer.from(`${username ?? ""}:${password ?? ""}`).toString("base64");
  const response = await request(`${connection.url.replace(/\/+$/, "")}/schemas/ids/${id}`, {
    signal,
    headers: {
      accept: "application/vnd.schemaregistry.v1+json, application/json",
      ...(username !== undefined && { authorization: `Basic ${credentials}` }),
    },
  });
  const body = parseJson(await response.body.text());
  const status = response.statusCode;
  if (status === 200) {
    const { data } = schemaBody.safeParse(body);
    return data === undefined ? { why: "an answer that is not a schema (a proxy's?)" } : data;
  }
  const code = errorBody.safeParse(body).data?.error_code;
  if (status === 404 && code !== undefined && NOT_FOUND_CODES.includes(code)) return "unknown";
  return { why: explainStatus(status) };
}

async function usableSchema(
  connection: RegistryConnection,
  id: number,
  type: string,
  signal: AbortSignal,
): Promise<SchemaAnswer> {
  // The payload is JSON whatever the schema says, and the relay has its own rules for every field. Compiling it would
  // only refuse the drafts and formats that the library's validator doesn't know.
  if (type === SchemaType.JSON) return { decode: decodeJson };
  const registry = createRegistry(connection, signal);
  try {
    // Raced, for the library may never settle.
    const schema = await orAbort(registry.getSchema(id), signal);
    if (type === SchemaType.AVRO) return { decode: (payload) => plainAvro(schema.fromBuffer(payload)) };
    return { decode: (payload) => plainProtobuf(schema.fromBuffer(payload)) };
  } catch (error) {
    signal.throwIfAborted();
    // Without a status, the schema itself is at fault; with 404, a schema that it refers to and that is gone.
    const status = errorStatus.safeParse(error).data?.status;
    if (status === undefined || status === 404) return "unusable";
    return { why: `${explainStatus(status)}, on the way to the schema or one it refers to` };
  }
}

const errorStatus = z.object({ status: z.number() });

function createRegistry(connection: RegistryConnection, signal: AbortSignal): SchemaRegistry {
  const { url, username, password } = connection;
  return new SchemaRegistry({
    host: url,
    ...(username !== undefined && { auth: { username, password: password ?? "" } }),
    middlewares: [() => ({ request: (asked) => asked.enhance({ signal }) })],
  });
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

const decodeJson = (payload: Buffer): unknown => JSON.parse(utf8.decode(payload));

/** A message as plain fields; 64-bit numbers become strings. */
function plainProtobuf(message: unknown): unknown {
  const plain = typeof message === "object" && message !== null && "toJSON" in message;
  return plain && typeof message.toJSON === "function" ? message.toJSON() : message;
}

/** A record with its unions as plain values. */
function plainAvro(record: unknown): unknown {
  if (typeof record !== "object" || record === null) return record;
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, unwrapUnion(value)]));
}

/** avsc gives `{long: 5}` for a union whose branches the bare value would not tell apart. */
function unwrapUnion(value: unknown): unknown {
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  const branches = Object.values(value);
  return branches.length === 1 ? branches[0] : value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function explainStatus(status: number): string {
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

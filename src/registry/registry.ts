import type { SchemaRegistry } from "@kafkajs/confluent-schema-registry";
import { request } from "undici";
import { z } from "zod";
import type { Config } from "../config/schema.ts";
import { messageOf, OptoutError } from "../errors.ts";

type RegistryConfig = NonNullable<Config["schemaRegistry"]>;

/** The schema registry as this product writes with it: registering Avro schemas and encoding by them. */
export interface Registry {
  /**
   * The id of an Avro schema under a subject; registers it if the subject doesn't have it yet. Idempotent.
   * Rejects with an OptoutError: `registry_unreachable` is worth another try, `configuration` is not.
   */
  registerSchema(subject: string, avsc: string): Promise<number>;
  /** Encodes by the schema of that id, in Confluent's wire format. Errors as above; the function itself is plain work. */
  serializer(id: number): Promise<(record: object) => Buffer>;
}

const CONTENT_TYPE = "application/vnd.schemaregistry.v1+json";
const MAGIC_BYTE = 0;
const MAX_QUOTED = 300;

const registered = z.object({ id: z.int().nonnegative() });
const refusal = z.object({ message: z.string() });

interface Answer {
  status: number;
  body: unknown;
}

/**
 * `config.requestTimeout` (milliseconds) bounds every call.
 * Registers over the REST API (https://docs.confluent.io/platform/current/schema-registry/develop/api.html) rather than
 * with the library, which reports a connection refused as HTTP 400, has no timeout, and changes the subject's
 * compatibility setting on the way.
 */
export function createRegistry(config: RegistryConfig): Registry {
  const { url, username, password, requestTimeout } = config;
  const auth = username !== undefined && password !== undefined ? { username, password } : undefined;
  // Loaded by those who have a registry: it brings an Avro, a Protobuf and a JSON Schema engine along.
  let client: Promise<SchemaRegistry> | undefined;
  const connect = async (): Promise<SchemaRegistry> => {
    const library = await import("@kafkajs/confluent-schema-registry");
    return new library.SchemaRegistry({
      host: url,
      clientId: "optout-relay",
      middlewares: [
        () => ({ prepareRequest: async (next) => (await next()).enhance({ timeout: requestTimeout }) }),
      ],
      ...(auth && { auth }),
    });
  };

  const post = async (path: string, avsc: string): Promise<Answer> => {
    try {
      const { statusCode, body } = await request(url + path, {
        method: "POST",
        headers: { "content-type": CONTENT_TYPE, accept: CONTENT_TYPE, ...(auth && basicAuth(auth)) },
        body: JSON.stringify({ schema: avsc }),
        signal: AbortSignal.timeout(requestTimeout),
      });
      return { status: statusCode, body: parseJson(await body.text()) };
    } catch (error) {
      throw unreachable(url, reasonOf(error, requestTimeout), error);
    }
  };

  const idIn = ({ status, body }: Answer): number | undefined =>
    status === 200 ? registered.safeParse(body).data?.id : undefined;

  return {
    async registerSchema(subject, avsc) {
      const path = `/subjects/${encodeURIComponent(subject)}`;
      // Looked up before it is registered: a user who may only read can start once someone else has registered.
      const found = await post(path, avsc);
      const answer = found.status === 404 ? await post(`${path}/versions`, avsc) : found;
      const id = idIn(answer);
      if (id !== undefined) return id;
      // Apicurio answers so to all but one of several relays that register the same at the same time.
      const foundNow =
        answer.status === 409 && found.status === 404 ? idIn(await post(path, avsc)) : undefined;
      if (foundNow !== undefined) return foundNow;
      throw refused(answer, `the schema of subject "${subject}"`, config);
    },

    async serializer(id) {
      client ??= connect();
      const schema = await readSchemaById(await client, id, config);
      const header = Buffer.alloc(5);
      header.writeUInt8(MAGIC_BYTE, 0);
      header.writeUInt32BE(id, 1);
      return (record) => Buffer.concat([header, schema.toBuffer(record)]);
    },
  };
}

async function readSchemaById(client: SchemaRegistry, id: number, { url, requestTimeout }: RegistryConfig) {
  let timer: NodeJS.Timeout | undefined;
  // The library's own timeout is for silence on the socket; this one is for the whole.
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DOMException("late", "TimeoutError")), requestTimeout);
  });
  try {
    return await Promise.race([client.getSchema(id), late]);
  } catch (error) {
    throw unreachable(url, `schema ${id} can't be read (${reasonOf(error, requestTimeout)})`, error);
  } finally {
    clearTimeout(timer);
  }
}

const unreachable = (url: string, why: string, cause?: unknown): OptoutError =>
  new OptoutError(
    "registry_unreachable",
    `Can't reach the schema registry at ${url}: ${why}. Check schemaRegistry.url and that the registry runs.`,
    { cause },
  );

function refused({ status, body }: Answer, what: string, { url, username }: RegistryConfig): OptoutError {
  const parsed = refusal.safeParse(body);
  const said = parsed.success ? ` It says: ${parsed.data.message.slice(0, MAX_QUOTED)}` : "";
  if (status === 401 || status === 403) {
    const who = username === undefined ? "asks for a login" : `doesn't let user "${username}" register`;
    return new OptoutError(
      "configuration",
      `The schema registry at ${url} answered ${status}: it ${who}, for ${what}. ` +
        "Check schemaRegistry.username and password, and that user's rights.",
    );
  }
  if (status === 409) {
    return new OptoutError(
      "configuration",
      `The schema registry at ${url} refuses ${what}: it is not compatible with the version there. ` +
        `Use another topic, or set that subject's compatibility to NONE.${said}`,
    );
  }
  if (status === 429 || status >= 500) return unreachable(url, `it answered ${status}`);
  return new OptoutError(
    "configuration",
    `The schema registry at ${url} answered ${status} to ${what}. ` +
      `Check that schemaRegistry.url is the base of its Confluent-compatible API.${said}`,
  );
}

const basicAuth = ({ username, password }: { username: string; password: string }) => ({
  authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`,
});

const reasonOf = (error: unknown, timeout: number): string =>
  error instanceof Error && error.name === "TimeoutError"
    ? `no answer within ${timeout} ms`
    : messageOf(error);

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

import { request } from "undici";
import { z } from "zod";
import type { Config } from "../config/schema.ts";
import { messageOf } from "../errors.ts";
import { readPackageFile } from "../package-files.ts";
import { EVENT_AVRO, STATUS_AVRO } from "../registry/subjects.ts";
import { about, type Finding, failed, notChecked, type Observation, ok, warning } from "./finding.ts";

type RegistryParts = Pick<Config, "schemaRegistry" | "topics">;
type RegistryConfig = NonNullable<Config["schemaRegistry"]>;

interface Answer {
  status: number;
  body: unknown;
}

/** Asks; `schema` makes it a POST that looks one up, and registers nothing. Rejects if there is no answer. */
type Ask = (path: string, schema?: string) => Promise<Answer>;

const CONTENT_TYPE = "application/vnd.schemaregistry.v1+json";
const registered = z.object({ id: z.int() });
const verdict = z.object({ is_compatible: z.boolean() });
const refusal = z.object({ error_code: z.int() });
/** Confluent's codes of a subject, and of a schema in it, that aren't there. A wrong path has other codes, or none. */
const [NO_SUBJECT, NO_SCHEMA] = [40401, 40403];

/** The registry, and the subjects of events and results. Never rejects; nothing is registered. */
export async function checkRegistry(config: RegistryParts, timeout: number): Promise<Finding[]> {
  const { schemaRegistry, topics } = config;
  if (schemaRegistry === undefined) {
    return about("registry", "", [ok("connection", "none is configured: events and results are JSON")]);
  }
  const ask = asker(schemaRegistry, Math.min(timeout, schemaRegistry.requestTimeout));
  const connection = await checkConnection(ask, schemaRegistry);
  const found = about("registry", "", [connection]);
  if (connection.result !== "ok") return found;
  const subjects = await Promise.all([
    checkSubject(ask, { topic: topics.events, schema: EVENT_AVRO, isOurs: false }),
    checkSubject(ask, { topic: topics.status, schema: STATUS_AVRO, isOurs: true }),
  ]);
  return [...found, ...subjects.flat()];
}

function asker({ url, username, password }: RegistryConfig, timeout: number): Ask {
  const login = Buffer.from(`${username ?? ""}:${password ?? ""}`).toString("base64");
  return async (path, schema) => {
    const { statusCode, body } = await request(url + path, {
      method: schema === undefined ? "GET" : "POST",
      headers: {
        "content-type": CONTENT_TYPE,
        accept: `${CONTENT_TYPE}, application/json`,
        ...(username !== undefined && { authorization: `Basic ${login}` }),
      },
      body: schema === undefined ? null : JSON.stringify({ schema }),
      signal: AbortSignal.timeout(timeout),
    });
    const text = await body.text();
    try {
      return { status: statusCode, body: JSON.parse(text) };
    } catch {
      return { status: statusCode, body: undefined };
    }
  };
}

async function checkConnection(ask: Ask, { url, username }: RegistryConfig): Promise<Observation> {
  const check = "connection";
  try {
    const { status, body } = await ask("/subjects");
    if (status === 200 && Array.isArray(body))
      return ok(check, `${url} answers, and has ${body.length} subjects`);
    if (status === 401 || status === 403) {
      const who = username === undefined ? "asks for a login" : `refuses the user "${username}"`;
      return failed(
        check,
        `${url} ${who} (${status})`,
        "Check schemaRegistry.username and schemaRegistry.password, and that user's rights.",
      );
    }
    if (status === 429 || status >= 500)
      return failed(check, `${url} answers ${status}`, "Check that the registry is healthy.");
    return failed(
      check,
      `${url} answers ${status} where a registry lists its subjects`,
      "Check that schemaRegistry.url is the base of its Confluent-compatible API.",
    );
  } catch (error) {
    return failed(
      check,
      `no answer from ${url}: ${reasonOf(error)}`,
      "Check schemaRegistry.url and that the registry runs.",
    );
  }
}

interface Subject {
  topic: string;
  /** File in the package. */
  schema: string;
  /** The relay writes with this schema, and can't start without; else it is only for producers who want one. */
  isOurs: boolean;
}

async function checkSubject(ask: Ask, { topic, schema: file, isOurs }: Subject): Promise<Finding[]> {
  const subject = `${topic}-value`;
  const path = encodeURIComponent(subject);
  const schema = readPackageFile(file);
  const look = async (): Promise<Observation[]> => {
    const found = await ask(`/subjects/${path}`, schema);
    const id = registered.safeParse(found.body).data?.id;
    if (found.status === 200 && id !== undefined) return [ok("schema", `registered, id ${id}`)];
    const code = refusal.safeParse(found.body).data?.error_code;
    if (code === NO_SUBJECT) return [missing(isOurs)];
    if (code !== NO_SCHEMA) return [unclear(found.status)];
    const compared = await ask(`/compatibility/subjects/${path}/versions/latest`, schema);
    const { data } = verdict.safeParse(compared.body);
    return [data === undefined ? unclear(compared.status) : differs(data.is_compatible, isOurs)];
  };
  const observations = await look().catch((error: unknown) => [
    notChecked("schema", `no answer: ${reasonOf(error)}`, "Check that the registry is healthy."),
  ]);
  return about("subject", subject, observations);
}

const missing = (isOurs: boolean): Observation =>
  warning(
    "schema",
    isOurs
      ? "not registered: the relay registers it when it starts, if its user may"
      : "not registered: producers can't use the Avro schema of events yet; JSON works",
    "Run `optout-relay topics` to register what is missing.",
  );

function differs(isCompatible: boolean, isOurs: boolean): Observation {
  const remedy = "Run `optout-relay topics` to register this version's.";
  if (isCompatible && isOurs) {
    return warning(
      "schema",
      "an older version: the relay registers this one's when it starts, if its user may",
      remedy,
    );
  }
  if (isCompatible) return ok("schema", "another version, compatible with this one's");
  if (!isOurs) {
    const detail =
      "another schema, with which this version's isn't compatible: producers' own, which may well work";
    return warning(
      "schema",
      detail,
      "Check with the producers that its fields are those of schemas/opt-out-event.avsc.",
    );
  }
  return failed(
    "schema",
    "another schema, with which the relay's isn't compatible: it would be refused, and the relay couldn't start",
    "Use another status topic, or set that subject's compatibility to NONE.",
  );
}

const unclear = (status: number): Observation =>
  notChecked(
    "schema",
    `the registry answers ${status} when asked for it`,
    "Check that user's rights to read subjects.",
  );

const reasonOf = (error: unknown): string =>
  error instanceof Error && error.name === "TimeoutError" ? "it took too long" : messageOf(error);

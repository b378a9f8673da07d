import { z } from "zod";
import { parseJson } from "./json.ts";
import { WRITE_SCOPE } from "./tokens.ts";

const KNOWN_SCOPES: ReadonlySet<string> = new Set(["dnc:read", WRITE_SCOPE]);
const WRITER: Grant = { ok: true, scopes: new Set([WRITE_SCOPE]) };

/** What an environment asks for; what is absent may be anything that is not empty. */
export interface Credentials {
  clientId?: string | undefined;
  clientSecret?: string | undefined;
  /** The access key of `admin-dnc-groups`. */
  accessKeyId?: string | undefined;
  accessKeySecret?: string | undefined;
}

export interface TokenRequest {
  authorization: string | undefined;
  contentType: string | undefined;
  body: Buffer;
}

export type Grant =
  | { ok: true; scopes: ReadonlySet<string> }
  | { ok: false; status: 400 | 401; error: string; message: string };

/** Decides what a token request is granted. */
export type GrantReader = (request: TokenRequest, credentials: Credentials) => Grant;

const refuse = (status: 400 | 401, error: string, message: string): Grant => ({
  ok: false,
  status,
  error,
  message,
});

const matches = (given: string | null | undefined, expected: string | undefined): boolean =>
  typeof given === "string" && given !== "" && (expected === undefined || given === expected);

/** The form of a request for one type of grant, or why it is refused. */
const readForm = (request: TokenRequest, grantType: string): URLSearchParams | Grant => {
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.contentType ?? "")) {
    return refuse(400, "invalid_request", "the body must be application/x-www-form-urlencoded");
  }
  const form = new URLSearchParams(request.body.toString("utf8"));
  return form.get("grant_type") === grantType
    ? form
    : refuse(400, "unsupported_grant_type", `grant_type must be ${grantType}`);
};

/** RFC 6749, section 4.4, with the client's id and secret in the form. */
export const clientCredentialsGrant: GrantReader = (request, credentials) => {
  const form = readForm(request, "client_credentials");
  if (!(form instanceof URLSearchParams)) return form;
  const known =
    matches(form.get("client_id"), credentials.clientId) &&
    matches(form.get("client_secret"), credentials.clientSecret);
  if (!known) return refuse(401, "invalid_client", "client_id or client_secret is wrong");
  const scopes = new Set((form.get("scope") ?? "").split(" ").filter((scope) => scope !== ""));
  for (const scope of scopes) {
    if (!KNOWN_SCOPES.has(scope)) {
      return refuse(400, "invalid_scope", `scope can be ${[...KNOWN_SCOPES].join(" or ")}`);
    }
  }
  return { ok: true, scopes };
};

const formDecoded = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
};

/** Id and secret of a Basic credential: as they are, which is what many clients send, or form-encoded first (RFC 6749, section 2.3.1). */
const readBasic = (authorization: string | undefined): { id: string; secret: string }[] => {
  const encoded = /^Basic +(\S+)$/i.exec(authorization ?? "")?.[1] ?? "";
  const pair = Buffer.from(encoded, "base64").toString("utf8");
  const colon = pair.indexOf(":");
  if (colon === -1) return [];
  const [id, secret] = [pair.slice(0, colon), pair.slice(colon + 1)];
  return [
    { id, secret },
    { id: formDecoded(id), secret: formDecoded(secret) },
  ];
};

/** RFC 6749, section 4.3: the client as a Basic credential, the access key as user name and password. */
export const passwordGrant: GrantReader = (request, credentials) => {
  const form = readForm(request, "password");
  if (!(form instanceof URLSearchParams)) return form;
  const known = readBasic(request.authorization).some(
    ({ id, secret }) => matches(id, credentials.clientId) && matches(secret, credentials.clientSecret),
  );
  if (!known) return refuse(401, "invalid_client", "the Basic credential is wrong");
  const granted =
    matches(form.get("username"), credentials.accessKeyId) &&
    matches(form.get("password"), credentials.accessKeySecret);
  return granted ? WRITER : refuse(400, "invalid_grant", "username or password is wrong");
};

const accessKeySchema = z.object({ accessKeyId: z.string(), accessKeySecret: z.string() });

/** CXone's own: the access key as JSON. */
export const accessKeyGrant: GrantReader = (request, credentials) => {
  const key = accessKeySchema.safeParse(parseJson(request.body)).data;
  if (key === undefined) {
    return refuse(400, "invalid_request", "the body must be JSON with accessKeyId and accessKeySecret");
  }
  const known =
    matches(key.accessKeyId, credentials.accessKeyId) &&
    matches(key.accessKeySecret, credentials.accessKeySecret);
  return known ? WRITER : refuse(401, "invalid_access_key", "accessKeyId or accessKeySecret is wrong");
};

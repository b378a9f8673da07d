import { randomBytes } from "node:crypto";

export const WRITE_SCOPE = "dnc:write";
const KNOWN_SCOPES: ReadonlySet<string> = new Set(["dnc:read", WRITE_SCOPE]);

/** Far more than any client holds; keeps a client that asks before every request from filling the memory. */
const MAX_TOKENS = 10_000;

export interface Credentials {
  /** Absent: any client id that is not empty will do. */
  clientId?: string | undefined;
  clientSecret?: string | undefined;
}

export type TokenAnswer =
  | { status: 200; body: { access_token: string; token_type: "Bearer"; expires_in: number } }
  | { status: 400 | 401; body: { error: string; message: string } };

export interface Tokens {
  /** Answers a client-credentials request (RFC 6749, section 4.4). */
  issue(form: URLSearchParams, ttlSeconds: number): TokenAnswer;
  /** What the bearer of an `Authorization` header may do. */
  check(authorization: string | undefined): "writer" | "without_scope" | "unknown";
  /** Makes every token issued so far unknown. */
  revokeAll(): void;
}

const refuse = (status: 400 | 401, error: string, message: string): TokenAnswer => ({
  status,
  body: { error, message },
});

const matches = (given: string | null, expected: string | undefined): boolean =>
  given !== null && given !== "" && (expected === undefined || given === expected);

export const createTokens = (credentials: Credentials, clock: () => number): Tokens => {
  const issued = new Map<string, { expiresAt: number; scopes: ReadonlySet<string> }>();

  const makeRoom = (): void => {
    if (issued.size < MAX_TOKENS) return;
    for (const [token, { expiresAt }] of issued) if (expiresAt <= clock()) issued.delete(token);
    for (const token of issued.keys()) {
      if (issued.size < MAX_TOKENS) break;
      issued.delete(token);
    }
  };

  return {
    issue(form, ttlSeconds) {
      if (form.get("grant_type") !== "client_credentials") {
        return refuse(400, "unsupported_grant_type", "grant_type must be client_credentials");
      }
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
      makeRoom();
      const token = randomBytes(24).toString("base64url");
      issued.set(token, { expiresAt: clock() + ttlSeconds * 1000, scopes });
      return { status: 200, body: { access_token: token, token_type: "Bearer", expires_in: ttlSeconds } };
    },

    check(authorization) {
      const token = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
      const found = token === undefined ? undefined : issued.get(token);
      if (found === undefined || found.expiresAt <= clock()) return "unknown";
      return found.scopes.has(WRITE_SCOPE) ? "writer" : "without_scope";
    },

    revokeAll() {
      issued.clear();
    },
  };
};

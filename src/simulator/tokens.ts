import { randomBytes } from "node:crypto";

export const WRITE_SCOPE = "dnc:write";

/** Far more than any client holds; keeps a client that asks before every request from filling the memory. */
const MAX_TOKENS = 10_000;

export interface IssuedToken {
  access_token: string;
  token_type: "Bearer";
  expires_in: number;
}

export interface Tokens {
  issue(scopes: ReadonlySet<string>, ttlSeconds: number): IssuedToken;
  /** What the bearer of an `Authorization` header may do. */
  check(authorization: string | undefined): "writer" | "without_scope" | "unknown";
  /** Makes every token issued so far unknown. */
  revokeAll(): void;
}

export const createTokens = (clock: () => number): Tokens => {
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
    issue(scopes, ttlSeconds) {
      makeRoom();
      const token = randomBytes(24).toString("base64url");
      issued.set(token, { expiresAt: clock() + ttlSeconds * 1000, scopes });
      return { access_token: token, token_type: "Bearer", expires_in: ttlSeconds };
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

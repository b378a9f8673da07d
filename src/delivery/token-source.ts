import type { Token, TokenAnswer } from "./dialects/dialect.ts";

/** Tokens are refreshed this long before they expire, in milliseconds; short-lived ones at half their life. */
const EARLY_MS = 5 * 60_000;
/** For a server that states no lifetime. */
const ASSUMED_LIFETIME_MS = 10 * 60_000;
/** A failed early refresh is tried again after this long; the old token is still good meanwhile. */
const EARLY_RETRY_MS = 5_000;

export type TokenOutcome = "ok" | "refused" | "failed";
export type TokenResult = { ok: true; value: string } | { ok: false; refused: boolean };

export interface TokenSource {
  /** The current token, fetched or refreshed when needed; at most one request is under way at any time. */
  get(): Promise<TokenResult>;
  /** Says that the environment didn't accept this token. Of many who say so of the same token, the first counts. */
  invalidate(value: string): void;
}

export interface TokenSourceOptions {
  /** May reject on transport failure. */
  fetchToken(): Promise<TokenAnswer>;
  onRefresh(outcome: TokenOutcome): void;
  /** Milliseconds. */
  now(): number;
}

export function createTokenSource({ fetchToken, onRefresh, now }: TokenSourceOptions): TokenSource {
  let current: { value: string; refreshAt: number; expiresAt: number } | undefined;
  let pending: Promise<TokenResult> | undefined;

  const keep = ({ value, lifetime = ASSUMED_LIFETIME_MS }: Token, requestedAt: number): void => {
    current = {
      value,
      refreshAt: requestedAt + Math.max(lifetime - EARLY_MS, lifetime / 2),
      expiresAt: requestedAt + lifetime,
    };
  };

  const refresh = async (): Promise<TokenResult> => {
    const requestedAt = now();
    let answer: TokenAnswer | undefined;
    try {
      answer = await fetchToken();
    } catch {
      // A transport failure: as good as "not now".
    }
    if (answer?.ok) {
      keep(answer.token, requestedAt);
      onRefresh("ok");
      return { ok: true, value: answer.token.value };
    }
    const refused = answer?.refused ?? false;
    onRefresh(refused ? "refused" : "failed");
    if (current !== undefined && now() < current.expiresAt) {
      current.refreshAt = now() + EARLY_RETRY_MS;
      return { ok: true, value: current.value };
    }
    return { ok: false, refused };
  };

  const refreshOnce = (): Promise<TokenResult> => {
    pending ??= refresh().finally(() => {
      pending = undefined;
    });
    return pending;
  };

  return {
    async get() {
      if (current === undefined || now() >= current.expiresAt) return refreshOnce();
      // Early: whoever comes meanwhile uses the token that is still good.
      if (now() >= current.refreshAt) void refreshOnce();
      return { ok: true, value: current.value };
    },
    invalidate(value) {
      if (current?.value === value) current = undefined;
    },
  };
}

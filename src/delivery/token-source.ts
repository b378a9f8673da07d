import type { Token, TokenAnswer } from "./dialects/dialect.ts";

/** Tokens are refreshed this long before they expire, in milliseconds; short-lived ones at half their life. */
const EARLY_MS = 5 * 60_000;
/** For a server that states no lifetime. */
const ASSUMED_LIFETIME_MS = 10 * 60_000;
/** No statement is believed beyond this: some servers state milliseconds, or the time of day, as seconds. */
const MAX_LIFETIME_MS = 24 * 60 * 60_000;
/** A token is used for this long at least, or a tiny lifetime, or a slow server, would cost a request for each batch. */
const MIN_USE_MS = 1_000;
/** A failed early refresh is tried again after this long; the old token is still good meanwhile. */
const EARLY_RETRY_MS = 5_000;

export type TokenOutcome = "ok" | "refused" | "failed";

/** One token as it was issued. A server may issue the same value twice; those are two of these. */
export interface IssuedToken {
  readonly value: string;
}

export type TokenResult =
  | { ok: true; token: IssuedToken }
  /** `refused`: the credentials are wrong. `detail`: why, where the dialect knows. `retryAfter`: milliseconds for which the token server won't be asked. */
  | { ok: false; refused: boolean; retryAfter?: number; detail?: string };

export interface TokenSource {
  /** The current token, fetched or refreshed when needed; at most one request is under way at any time. */
  get(): Promise<TokenResult>;
  /** Says that the environment didn't accept this token. Of many who say so of the same one, the first counts. */
  invalidate(token: IssuedToken): void;
}

export interface TokenSourceOptions {
  /** May reject on transport failure. Has to settle: nobody gets a token meanwhile. */
  fetchToken(): Promise<TokenAnswer>;
  onRefresh(outcome: TokenOutcome): void;
  /** Milliseconds, monotonic. */
  now(): number;
}

export function createTokenSource({ fetchToken, onRefresh, now }: TokenSourceOptions): TokenSource {
  let current: Held | undefined;
  let pending: Promise<TokenResult> | undefined;
  /** What the token server itself asked for: no request before. */
  let heldUntil = Number.NEGATIVE_INFINITY;

  const refresh = async (): Promise<TokenResult> => {
    const requestedAt = now();
    let answer: TokenAnswer | undefined;
    try {
      answer = await fetchToken();
    } catch {
      // A transport failure: as good as "not now".
    }
    if (answer?.ok) {
      current = holdFrom(answer.token, requestedAt, now());
      onRefresh("ok");
      return { ok: true, token: current.token };
    }
    const { refused = false, retryAfter, detail } = answer ?? {};
    onRefresh(refused ? "refused" : "failed");
    if (retryAfter !== undefined) heldUntil = now() + retryAfter;
    if (current !== undefined && now() < current.expiresAt) {
      current.refreshAt = now() + EARLY_RETRY_MS;
      return { ok: true, token: current.token };
    }
    return {
      ...{ ok: false, refused },
      ...(retryAfter !== undefined && { retryAfter }),
      ...(detail !== undefined && { detail }),
    };
  };

  const refreshOnce = (): Promise<TokenResult> => {
    pending ??= refresh().finally(() => {
      pending = undefined;
    });
    return pending;
  };

  return {
    async get() {
      const at = now();
      const isHeld = at < heldUntil;
      if (current === undefined || at >= current.expiresAt) {
        return isHeld ? { ok: false, refused: false, retryAfter: heldUntil - at } : refreshOnce();
      }
      // Early: whoever comes meanwhile uses the token that is still good.
      if (at >= current.refreshAt && !isHeld) void refreshOnce();
      return { ok: true, token: current.token };
    },
    invalidate(token) {
      if (current?.token === token) current = undefined;
    },
  };
}

interface Held {
  token: IssuedToken;
  refreshAt: number;
  expiresAt: number;
}

/** A token lives from its request on, for nobody knows when in between it was issued. */
function holdFrom({ value, lifetime: stated }: Token, requestedAt: number, receivedAt: number): Held {
  const lifetime =
    stated !== undefined && stated > 0 ? Math.min(stated, MAX_LIFETIME_MS) : ASSUMED_LIFETIME_MS;
  const early = requestedAt + Math.max(lifetime - EARLY_MS, lifetime / 2);
  return {
    token: { value },
    refreshAt: Math.max(early, receivedAt + MIN_USE_MS / 2),
    expiresAt: Math.max(requestedAt + lifetime, receivedAt + MIN_USE_MS),
  };
}

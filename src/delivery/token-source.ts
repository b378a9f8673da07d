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
/** A request that isn't answered for so long may hang: nobody waits for it any longer, and whoever comes sends another. */
const HANG_MS = 1_500;
/** Requests under way at most. The first may take all the time that a request has, or a slow server would never be heard out. */
export const MAX_TOKEN_REQUESTS = 3;

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
  /**
   * The current token, fetched or refreshed when needed. At most one request is under way at any time, but for those that
   * hang. Settles within a hang time (1.5 s).
   */
  get(): Promise<TokenResult>;
  /** Says that the environment didn't accept this token. Of many who say so of the same one, the first counts. */
  invalidate(token: IssuedToken): void;
}

export interface TokenSourceOptions {
  /** May reject on transport failure. `signal`: another request has taken its place. */
  fetchToken(signal: AbortSignal): Promise<TokenAnswer>;
  onRefresh(outcome: TokenOutcome): void;
  /** Milliseconds, monotonic. */
  now(): number;
}

export function createTokenSource({ fetchToken, onRefresh, now }: TokenSourceOptions): TokenSource {
  let current: Held | undefined;
  /** The oldest first. */
  const underWay: TokenRequest[] = [];
  /** What the token server itself asked for: no request before. */
  let heldUntil = Number.NEGATIVE_INFINITY;

  const refresh = async (signal: AbortSignal): Promise<TokenResult> => {
    const requestedAt = now();
    let answer: TokenAnswer | undefined;
    try {
      answer = await fetchToken(signal);
    } catch {
      // A transport failure: as good as "not now".
    }
    if (signal.aborted) answer = undefined;
    if (answer?.ok) {
      current = holdFrom(answer.token, requestedAt, now());
      onRefresh("ok");
      // Whoever waits for them gets this token.
      for (const { controller } of underWay) if (controller.signal !== signal) controller.abort();
      return { ok: true, token: current.token };
    }
    const { refused = false, retryAfter, detail } = answer ?? {};
    onRefresh(refused ? "refused" : "failed");
    if (retryAfter !== undefined) heldUntil = now() + retryAfter;
    if (current !== undefined && now() < current.expiresAt) {
      if (!signal.aborted) current.refreshAt = now() + EARLY_RETRY_MS;
      return { ok: true, token: current.token };
    }
    return {
      ...{ ok: false, refused },
      ...(retryAfter !== undefined && { retryAfter }),
      ...(detail !== undefined && { detail }),
    };
  };

  const start = (): TokenRequest => {
    if (underWay.length >= MAX_TOKEN_REQUESTS) underWay.splice(1, 1)[0]?.controller.abort();
    const controller = new AbortController();
    const result = refresh(controller.signal).finally(() => {
      const index = underWay.indexOf(request);
      if (index >= 0) underWay.splice(index, 1);
    });
    const request: TokenRequest = { startedAt: now(), controller, result };
    underWay.push(request);
    return request;
  };

  const fresh = (): Promise<TokenResult> => {
    const newest = underWay.at(-1);
    const isNew = newest !== undefined && now() - newest.startedAt < HANG_MS;
    const { startedAt, result } = isNew ? newest : start();
    return within(startedAt + HANG_MS - now(), result);
  };

  return {
    async get() {
      const at = now();
      const isHeld = at < heldUntil;
      if (current === undefined || at >= current.expiresAt) {
        return isHeld ? { ok: false, refused: false, retryAfter: heldUntil - at } : fresh();
      }
      // Early: whoever comes meanwhile uses the token that is still good.
      if (at >= current.refreshAt && !isHeld && underWay.length === 0) start();
      return { ok: true, token: current.token };
    },
    invalidate(token) {
      if (current?.token === token) current = undefined;
    },
  };
}

interface TokenRequest {
  startedAt: number;
  controller: AbortController;
  /** Never rejects. */
  result: Promise<TokenResult>;
}

/** The result, or that there is none now, once so many milliseconds have passed. */
async function within(milliseconds: number, result: Promise<TokenResult>): Promise<TokenResult> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<TokenResult>((resolve) => {
    timer = setTimeout(resolve, milliseconds, { ok: false, refused: false });
  });
  try {
    return await Promise.race([result, tooLate]);
  } finally {
    clearTimeout(timer);
  }
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

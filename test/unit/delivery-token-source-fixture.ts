import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { TokenAnswer } from "../../src/delivery/dialects/dialect.ts";
import {
  createTokenSource,
  type IssuedToken,
  type TokenOutcome,
  type TokenResult,
  type TokenSource,
} from "../../src/delivery/token-source.ts";

export const SECOND = 1_000;
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

export interface Pending {
  give(lifetime?: number): void;
  fail(refused: boolean, retryAfter?: number): void;
  cut(): void;
  signal: AbortSignal;
}

/** A source whose token server answers when the test says so; tokens are called t1, t2 and so on, or all `value`. */
export const controlled = ({ value: only }: { value?: string } = {}) => {
  let now = 0;
  let requests = 0;
  const pending: Pending[] = [];
  const outcomes: TokenOutcome[] = [];
  const source: TokenSource = createTokenSource({
    fetchToken(signal) {
      const value = `t${++requests}`;
      return new Promise<TokenAnswer>((resolve, reject) => {
        pending.push({
          give: (lifetime) => resolve({ ok: true, token: { value: only ?? value, lifetime } }),
          fail(refused, retryAfter) {
            const failure = { ok: false, refused, httpStatus: refused ? 401 : 503 } as const;
            resolve(retryAfter === undefined ? failure : { ...failure, retryAfter });
          },
          cut: () => reject(new Error("socket hang up")),
          signal,
        });
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    },
    onRefresh: (outcome) => outcomes.push(outcome),
    now: () => now,
  });
  return {
    source,
    outcomes,
    get requests() {
      return requests;
    },
    at(time: number) {
      now = time;
    },
    /** The oldest request not answered yet. */
    async next(): Promise<Pending> {
      await nextTurn();
      const request = pending.shift();
      assert.ok(request !== undefined, "no token was asked for");
      return request;
    },
  };
};

export type Server = ReturnType<typeof controlled>;

/** The token that the server's next answer, with this lifetime in milliseconds, brings. */
export async function fetched(server: Server, lifetime?: number): Promise<IssuedToken> {
  const waiting = server.source.get();
  (await server.next()).give(lifetime);
  return issued(await waiting);
}

/** A controlled source that has its first token, of this lifetime in milliseconds, since time 0. */
export const started = async (lifetime?: number): Promise<Server> => {
  const server = controlled();
  assert.equal((await fetched(server, lifetime)).value, "t1");
  return server;
};

export function issued(result: TokenResult): IssuedToken {
  assert.ok(result.ok, "no token");
  return result.token;
}

export const tokenOf = async (source: TokenSource): Promise<string> => issued(await source.get()).value;

import { withoutTrailingSlashes } from "../../trailing-slashes.ts";
import { failureOf, isSuccess, requestIdOf } from "./answers.ts";
import type { Answer, HttpSend, Verdict } from "./dialect.ts";
import { discover } from "./discovery.ts";

/** Because of doubts alone the issuer is asked no more often than this. */
const DOUBT_INTERVAL_MS = 60_000;

export interface ApiHost {
  readonly url: string;
  /** Says that it answered as if it weren't this API, or not at all. */
  doubt(): void;
}

export type LocatedHost = { ok: true; host: ApiHost } | { ok: false; answer: Answer };

interface KnownHost extends ApiHost {
  /** The token it was last confirmed with. */
  token: string;
  isDoubted: boolean;
}

export interface ApiLocatorOptions {
  issuer: string;
  tenantId: string;
  /** Milliseconds since the epoch. */
  now(): number;
}

/**
 * Knows where the API is, which may change: the issuer is asked with each new token, and when the host is in doubt. One that
 * can't tell is no reason to leave a host that is known. Throws as `send` does.
 */
export function createApiLocator({ issuer, tenantId, now }: ApiLocatorOptions) {
  let known: KnownHost | undefined;
  let pending: { signal: AbortSignal; located: Promise<LocatedHost> } | undefined;
  let doubtedAt = Number.NEGATIVE_INFINITY;

  const hostAt = (url: string, token: string): KnownHost => {
    const host = {
      ...{ url, token, isDoubted: false },
      doubt: () => {
        host.isDoubted = true;
      },
    };
    return host;
  };

  const ask = async (send: HttpSend, token: string, signal: AbortSignal): Promise<LocatedHost> => {
    const path = `/.well-known/cxone-configuration?tenantId=${encodeURIComponent(tenantId)}`;
    const found = await discover(send, { issuer, path, property: "api_endpoint" }, signal);
    if (found.ok) {
      known = hostAt(withoutTrailingSlashes(found.url), token);
      return { ok: true, host: known };
    }
    const { response, detail } = found;
    const failure = isSuccess(response) ? undefined : failureOf(response, now());
    // A 401 or 400 here is about neither the token nor the entries.
    const verdict: Verdict = failure?.kind === "unavailable" ? failure : { kind: "misconfigured" };
    return {
      ok: false,
      answer: { verdict, httpStatus: response.status, requestId: requestIdOf(response), detail },
    };
  };

  const locate = async (send: HttpSend, token: string, signal: AbortSignal): Promise<LocatedHost> => {
    if (known === undefined) return ask(send, token, signal);
    const trusted = known;
    const located = await ask(send, token, signal).catch(() => undefined);
    if (located?.ok) return located;
    trusted.token = token;
    return { ok: true, host: trusted };
  };

  const isDoubtDue = ({ isDoubted }: KnownHost): boolean =>
    // The clock may have been set back.
    isDoubted && Math.abs(now() - doubtedAt) >= DOUBT_INTERVAL_MS;

  return (send: HttpSend, token: string, signal: AbortSignal): Promise<LocatedHost> => {
    if (known?.token === token) {
      if (!isDoubtDue(known)) return Promise.resolve({ ok: true, host: known });
      // Whoever comes meanwhile goes on with this host: one that can't be reached is no worse than an issuer that hangs.
      doubtedAt = now();
    }
    if (pending !== undefined && !pending.signal.aborted) return pending.located;
    const located = locate(send, token, signal).finally(() => {
      if (pending?.located === located) pending = undefined;
    });
    pending = { signal, located };
    return located;
  };
}

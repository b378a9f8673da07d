import type { Entry } from "../../batching/batch.ts";

/** What one request asks an environment to take. */
export interface Submission {
  key: string;
  entries: readonly Entry[];
  /** `entries` as the canonical JSON array, the same bytes at every attempt. */
  body: Buffer;
  token: string;
}

/**
 * What an environment's answer means for the batch.
 * - `acknowledged`: all entries taken.
 * - `short`: a success that doesn't cover all entries, or can't be read as one; never taken for delivery.
 * - `refused`: at least one entry is at fault.
 * - `unauthorized`: the token wasn't accepted.
 * - `misconfigured`: neither the entries nor time will mend it: permissions, address.
 * - `unavailable`: try again later; with `retryAfter`, in milliseconds, nobody may try before.
 */
export type Verdict =
  | { kind: "acknowledged" | "short" | "refused" | "unauthorized" | "misconfigured" }
  | { kind: "unavailable"; retryAfter?: number };

export interface Answer {
  verdict: Verdict;
  httpStatus: number;
  requestId: string | null;
}

export interface HttpRequest {
  method: "GET" | "POST";
  url: string;
  headers: Record<string, string>;
  body: string | Buffer;
  signal: AbortSignal;
}

export interface HttpResponse {
  status: number;
  /** Lower-case names; of a repeated header, the first. */
  header(name: string): string | undefined;
  /** At most `MAX_RESPONSE_BYTES` of it. */
  body: string;
}

/** Sends one request within the environment's timeout. Throws on transport failure, timeout and abort only. */
export type HttpSend = (request: HttpRequest) => Promise<HttpResponse>;

export interface Credentials {
  clientId: string;
  clientSecret: string;
  scope: string;
  tokenUrl?: string | undefined;
}

export interface Token {
  value: string;
  /** Lifetime in milliseconds as the server stated it, or undefined. */
  lifetime: number | undefined;
}

export type TokenAnswer =
  | { ok: true; token: Token }
  /** `refused`: the credentials are wrong; else the token server can't answer now. */
  | { ok: false; refused: boolean; httpStatus: number };

/** How one kind of environment API is spoken. Everything that differs between APIs is behind this. */
export interface Dialect {
  requestToken(send: HttpSend, credentials: Credentials, signal: AbortSignal): Promise<TokenAnswer>;
  submit(send: HttpSend, submission: Submission, signal: AbortSignal): Promise<Answer>;
}

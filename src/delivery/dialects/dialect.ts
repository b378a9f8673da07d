import type { z } from "zod";
import type { Entry } from "../../batching/batch.ts";
import type { Observation } from "../../check/finding.ts";
import type { EnvironmentCommon, EnvironmentCommonInput } from "../../config/environment-keys.ts";

/** What one request asks an environment to take. */
export interface Submission {
  key: string;
  entries: readonly Entry[];
  /** `entries` as the canonical JSON array, the same bytes at every attempt. */
  body: Buffer;
  token: string;
}

/**
 * What one entry's own answer was: taken; at fault, so that sending it again is no use (`sent` false: nobody was asked); or
 * not taken, which may pass. `detail` says why, in words for people, without a phone number.
 */
export type EntryOutcome =
  | { kind: "taken" }
  | { kind: "refused"; detail: string; sent: boolean }
  | { kind: "retry"; detail: string };

/**
 * What an environment's answer means for the batch.
 * - `acknowledged`: all entries taken.
 * - `entries`: each entry has its own outcome, in the order sent.
 * - `short`: a success that doesn't cover all entries, or can't be read as one; never taken for delivery.
 * - `refused`: at least one entry is at fault.
 * - `unauthorized`: the token wasn't accepted.
 * - `misconfigured`: neither the entries nor time will mend it: permissions, address.
 * - `unavailable`: try again later; with `retryAfter`, in milliseconds, nobody may try before.
 */
export type Verdict =
  | { kind: "acknowledged" | "short" | "refused" | "unauthorized" | "misconfigured" }
  | { kind: "entries"; outcomes: readonly EntryOutcome[] }
  | { kind: "unavailable"; retryAfter?: number };

export interface Answer {
  verdict: Verdict;
  /** Null if the entries were refused without a request. */
  httpStatus: number | null;
  requestId: string | null;
  /** Why, in words for people, without a phone number or an address; where the status alone doesn't say it. */
  detail?: string;
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

export interface Token {
  value: string;
  /** Lifetime in milliseconds as the server stated it, or undefined. */
  lifetime: number | undefined;
}

export type TokenAnswer =
  | { ok: true; token: Token }
  /**
   * `refused`: the credentials are wrong, or where to present them; else the token server can't answer now. `retryAfter`:
   * milliseconds it asked to wait. `detail`: in words for people, where the status alone doesn't say it.
   */
  | { ok: false; refused: boolean; httpStatus: number; retryAfter?: number; detail?: string };

/** How one kind of environment API is spoken. Everything that differs between APIs is behind this. */
export interface Dialect {
  /** Most entries that one request may hold; Infinity if only `batching.maxEntries` bounds it. Of the API, not configured: keys of pieces follow from it. */
  readonly maxEntries: number;
  /** What access tokens are asked for, to be named when access is refused. */
  readonly scope: string | undefined;
  requestToken(send: HttpSend, signal: AbortSignal): Promise<TokenAnswer>;
  submit(send: HttpSend, submission: Submission, signal: AbortSignal): Promise<Answer>;
  /** Finds out, without adding anything to a list, whether opt-outs would be taken and have their effect. Throws as `send` does. */
  check?(send: HttpSend, token: string, signal: AbortSignal): Promise<Observation[]>;
}

/** The keys of an environment that are its dialect's own. What is in `auth` is secret, and read anew when files change. */
export type DialectKeys = { auth: z.ZodType<object> } & z.core.$ZodShape;

/** The dialect's own keys as the program uses them; `auth` said twice, since of keys not known by name zod knows no types. */
type OwnKeys<Keys extends DialectKeys> = z.output<z.ZodObject<Keys, z.core.$strict>> & {
  auth: z.output<Keys["auth"]>;
};

/** What a dialect is made of: the environment as configured, and its credentials as they are now. */
export interface DialectContext<Keys extends DialectKeys> {
  environment: EnvironmentCommon & OwnKeys<Keys>;
  /** Asked for before each token request: secrets in files may have been rotated. */
  auth(): z.output<Keys["auth"]>;
  /** Milliseconds since the epoch. */
  now(): number;
}

/**
 * All that the program knows of a dialect: one file exports one of these, and `index.ts` lists it. A method, so that a list
 * may hold dialects with environments of different kinds; what `create` gets was parsed with `keys`.
 */
export interface DialectDefinition<Name extends string = string, Keys extends DialectKeys = DialectKeys> {
  readonly name: Name;
  readonly keys: Keys;
  create(context: DialectContext<Keys>): Dialect;
}

/** An environment of one of these dialects, as the program uses it. */
export type EnvironmentOf<Definition extends DialectDefinition> =
  Definition extends DialectDefinition<infer Name, infer Keys>
    ? EnvironmentCommon & { dialect: Name } & OwnKeys<Keys>
    : never;

/** An environment of one of these dialects, as a file holds it. */
export type EnvironmentInputOf<Definition extends DialectDefinition> =
  Definition extends DialectDefinition<infer Name, infer Keys>
    ? EnvironmentCommonInput & { dialect?: Name } & z.input<z.ZodObject<Keys, z.core.$strict>>
    : never;

/** An environment of whatever dialect. */
export type AnyEnvironment = EnvironmentOf<DialectDefinition>;

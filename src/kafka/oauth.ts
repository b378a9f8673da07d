import { setTimeout as sleep } from "node:timers/promises";
import type { AuthenticationProviderArgs, Authenticator } from "kafkajs";
import { request } from "undici";
import { z } from "zod";
import { messageOf, OptoutError } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";

const REQUEST_TIMEOUT_MS = 10_000;
const ATTEMPTS = 3;
const FIRST_PAUSE_MS = 250;
/** For a server that states no lifetime. */
const ASSUMED_LIFETIME_S = 300;
/** Part of a token's life after which it is replaced, as Kafka's own clients do it. */
const USABLE_PART = 0.8;
/** Milliseconds that a connection waits for a new token while the old one is valid. */
const PATIENCE_MS = 1_000;

const tokenAnswer = z.object({
  access_token: z.string().min(1),
  expires_in: z.number().positive().optional(),
});

export interface OauthOptions {
  tokenUrl: string;
  clientId: string;
  clientSecret: string;
  scope?: string;
}

interface Token {
  value: string;
  /** When it is replaced, and when it is over. Milliseconds. */
  until: number;
  expiresAt: number;
}

/**
 * Tokens for SASL/OAUTHBEARER by the client-credentials grant (RFC 6749, 4.4), kept for four fifths of their life and
 * fetched once for all connections that ask at the same time. In the last fifth a server that is down or slow is no
 * trouble: the old token is given until it is over.
 * The function rejects with an OptoutError: `kafka_unauthorized` when the server refuses, else `kafka_unreachable`.
 * @param read gives the options as they are now: a secret may be rotated.
 */
export function createOauthTokenSource(
  read: () => OauthOptions,
  logger: Logger,
  now: () => number = Date.now,
): () => Promise<string> {
  let current: Token | undefined;
  let pending: Promise<string> | undefined;

  const refresh = async (): Promise<string> => {
    const askedAt = now();
    const { access_token, expires_in = ASSUMED_LIFETIME_S } = await fetchPatiently(read());
    const lifetime = expires_in * 1_000;
    current = {
      value: access_token,
      until: askedAt + lifetime * USABLE_PART,
      expiresAt: askedAt + lifetime,
    };
    return access_token;
  };

  return async () => {
    if (current !== undefined && now() < current.until) return current.value;
    const old = current !== undefined && now() < current.expiresAt ? current.value : undefined;
    pending ??= refresh()
      .catch((error: unknown) => {
        if (old !== undefined) logger.warn(`${messageOf(error)} The token before is used until it expires.`);
        throw error;
      })
      .finally(() => {
        pending = undefined;
      });
    return old === undefined ? pending : newOrOld(pending, old);
  };
}

async function newOrOld(refreshed: Promise<string>, old: string): Promise<string> {
  const done = new AbortController();
  const late = sleep(PATIENCE_MS, old, { signal: done.signal });
  const token = await Promise.race([refreshed.catch(() => old), late]);
  done.abort();
  late.catch(() => {});
  return token;
}

/** A client that is refused says so much to end the exchange (RFC 7628, 3.2.3). */
const GIVING_UP = "\u0001";

/**
 * The login itself, RFC 7628. kafkajs' own overlooks a refusal, which comes as an ordinary answer with a reason in it, and
 * goes on as if it were logged in, until the broker closes the connection without a word.
 */
export const oauthAuthenticator =
  (token: () => Promise<string>) =>
  ({ host, port, saslAuthenticate }: AuthenticationProviderArgs): Authenticator => {
    const say = async (message: string): Promise<string> => {
      const answer = await saslAuthenticate({
        request: { encode: () => withLength(message) },
        response: { decode: (bytes) => bytes.subarray(4), parse: (bytes) => bytes.toString() },
      });
      return answer ?? "";
    };
    /** The broker has been told of a login; left in the middle of it, the connection would refuse the next. */
    const giveUp = (): Promise<unknown> => say(GIVING_UP).catch(() => {});
    return {
      async authenticate() {
        const value = await token().catch(async (error: unknown) => {
          await giveUp();
          throw error;
        });
        const refusal = await say(`n,,\u0001auth=Bearer ${value}\u0001\u0001`);
        if (refusal === "") return;
        await giveUp();
        throw refused(`${host}:${port}`, refusal);
      },
    };
  };

function withLength(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

const refusalAnswer = z.object({ status: z.string().regex(/^[\w.-]{1,64}$/) });

function refused(broker: string, refusal: string): OptoutError {
  const parsed = refusalAnswer.safeParse(parseJson(refusal));
  const why = parsed.success ? ` (${parsed.data.status})` : "";
  return new OptoutError(
    "kafka_unauthorized",
    `Kafka at ${broker} refused the token of kafka.sasl.tokenUrl${why}. Check kafka.sasl.scope and clientId, and that its ` +
      "issuer, audience, key and expiry are what the brokers expect; their log says what was wrong.",
  );
}

async function fetchPatiently(options: OauthOptions): Promise<z.output<typeof tokenAnswer>> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fetchToken(options);
    } catch (error) {
      const refused = error instanceof OptoutError && error.code === "kafka_unauthorized";
      if (refused || attempt === ATTEMPTS) throw error;
      await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1));
    }
  }
}

async function fetchToken(options: OauthOptions): Promise<z.output<typeof tokenAnswer>> {
  const { status, text } = await post(options);
  if (status >= 500 || status === 429) throw unreachable(options, `it answered ${status}`);
  const parsed = tokenAnswer.safeParse(parseJson(text));
  if (status !== 200 || !parsed.success) {
    const what = status === 200 ? "its answer holds no access_token" : `it answered ${status}`;
    throw new OptoutError(
      "kafka_unauthorized",
      `The token server ${place(options)} gave no Kafka token: ${what}. ` +
        "Check kafka.sasl.tokenUrl, clientId, clientSecret and scope.",
    );
  }
  return parsed.data;
}

async function post({ tokenUrl, clientId, clientSecret, scope }: OauthOptions) {
  const credentials = Buffer.from(`${clientId}:${clientSecret}`).toString("base64");
  try {
    const { statusCode, body } = await request(tokenUrl, {
      method: "POST",
      headers: {
        authorization: `Basic ${credentials}`,
        "content-type": "application/x-www-form-urlencoded",
        accept: "application/json",
      },
      body: new URLSearchParams({ grant_type: "client_credentials", ...(scope && { scope }) }).toString(),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    return { status: statusCode, text: await body.text() };
  } catch (error) {
    throw unreachable({ tokenUrl }, messageOf(error), error);
  }
}

const unreachable = (at: Pick<OauthOptions, "tokenUrl">, why: string, cause?: unknown): OptoutError =>
  new OptoutError(
    "kafka_unreachable",
    `Can't get a Kafka token from ${place(at)}: ${why}. Check kafka.sasl.tokenUrl and that server.`,
    { cause },
  );

/** The URL without its query, which may hold something private. */
const place = ({ tokenUrl }: Pick<OauthOptions, "tokenUrl">): string => {
  const { origin, pathname } = new URL(tokenUrl);
  return origin + pathname;
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

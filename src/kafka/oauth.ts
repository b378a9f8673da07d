import { setTimeout as sleep } from "node:timers/promises";
import { request } from "undici";
import { z } from "zod";
import { messageOf, OptoutError } from "../errors.ts";

const REQUEST_TIMEOUT_MS = 10_000;
const ATTEMPTS = 3;
const FIRST_PAUSE_MS = 250;
/** For a server that states no lifetime. */
const ASSUMED_LIFETIME_S = 300;
/** Part of a token's life after which it is replaced, as Kafka's own clients do it. */
const USABLE_PART = 0.8;

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

/**
 * Tokens for SASL/OAUTHBEARER by the client-credentials grant (RFC 6749, 4.4), kept for four fifths of their life and
 * fetched once for all connections that ask at the same time.
 * The function rejects with an OptoutError: `kafka_unauthorized` when the server refuses, else `kafka_unreachable`.
 */
export function createOauthTokenSource(
  options: OauthOptions,
  now: () => number = Date.now,
): () => Promise<{ value: string }> {
  let current: { value: string; until: number } | undefined;
  let pending: Promise<{ value: string }> | undefined;

  const refresh = async (): Promise<{ value: string }> => {
    const askedAt = now();
    const { access_token, expires_in = ASSUMED_LIFETIME_S } = await fetchPatiently(options);
    current = { value: access_token, until: askedAt + expires_in * 1_000 * USABLE_PART };
    return current;
  };

  return async () => {
    if (current !== undefined && now() < current.until) return { value: current.value };
    pending ??= refresh().finally(() => {
      pending = undefined;
    });
    return { value: (await pending).value };
  };
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

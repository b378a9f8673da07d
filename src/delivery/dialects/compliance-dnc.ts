import { z } from "zod";
import { parseRetryAfter } from "../retry.ts";
import type { Dialect, HttpResponse, Submission, TokenAnswer, Verdict } from "./dialect.ts";

const Acknowledgement = z.object({
  success: z.literal(true),
  entriesProcessed: z.int().nonnegative(),
  duplicateCount: z.int().nonnegative().optional(),
});

const TokenBody = z.object({
  // Visible ASCII: anything else can't be sent in a header, and would fail every request instead of this one.
  access_token: z.string().regex(/^[\x21-\x7e]+$/),
  token_type: z
    .string()
    .regex(/^bearer$/i)
    .optional(),
  // A lifetime that can't be used is as good as none: the token may well be valid, and a 401 will tell if it isn't.
  expires_in: z.coerce.number().positive().optional().catch(undefined),
});

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A success counts only if it says so and covers the entries; some servers count duplicates within `entriesProcessed`. */
function isWhole(response: HttpResponse, entries: number): boolean {
  const parsed = Acknowledgement.safeParse(parseJson(response.body));
  if (!parsed.success) return false;
  return parsed.data.entriesProcessed + (parsed.data.duplicateCount ?? 0) >= entries;
}

/** The rows of the answer table. */
export function verdictOf(response: HttpResponse, entries: number, now: number): Verdict {
  const { status } = response;
  if (status >= 200 && status < 300) return { kind: isWhole(response, entries) ? "acknowledged" : "short" };
  if (status === 401) return { kind: "unauthorized" };
  if (status === 400 || status === 413 || status === 422) return { kind: "refused" };
  if (status === 408 || status === 409 || status === 425 || status === 429 || status >= 500) {
    const honoured = status === 429 || status === 503;
    const wait = honoured
      ? parseRetryAfter(response.header("retry-after"), now, response.header("date"))
      : undefined;
    return wait === undefined ? { kind: "unavailable" } : { kind: "unavailable", retryAfter: wait };
  }
  return { kind: "misconfigured" };
}

function tokenAnswer(response: HttpResponse): TokenAnswer {
  const { status } = response;
  if (status >= 200 && status < 300) {
    const parsed = TokenBody.safeParse(parseJson(response.body));
    if (!parsed.success) return { ok: false, refused: false, httpStatus: status };
    const { access_token: value, expires_in: seconds } = parsed.data;
    return { ok: true, token: { value, lifetime: seconds === undefined ? undefined : seconds * 1000 } };
  }
  const isTransient = status === 408 || status === 425 || status === 429 || status >= 500;
  return { ok: false, refused: !isTransient, httpStatus: status };
}

/** The project's reference API; see "Requests out" in the documentation of the contract. */
export function createComplianceDnc(baseUrl: string, now: () => number = Date.now): Dialect {
  return {
    async requestToken(send, credentials, signal) {
      const response = await send({
        method: "POST",
        url: credentials.tokenUrl ?? `${baseUrl}/oauth/token`,
        headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json" },
        body: new URLSearchParams({
          grant_type: "client_credentials",
          client_id: credentials.clientId,
          client_secret: credentials.clientSecret,
          scope: credentials.scope,
        }).toString(),
        signal,
      });
      return tokenAnswer(response);
    },
    async submit(send, { key, entries, body, token }: Submission, signal) {
      const response = await send({
        method: "POST",
        url: `${baseUrl}/api/v2/compliance/dnc/entries`,
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          accept: "application/json",
          "idempotency-key": key,
        },
        body,
        signal,
      });
      return {
        verdict: verdictOf(response, entries.length, now()),
        httpStatus: response.status,
        requestId: response.header("x-request-id")?.slice(0, 200) ?? null,
      };
    },
  };
}

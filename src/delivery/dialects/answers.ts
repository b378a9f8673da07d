/** What the APIs answer alike: tokens, and everything but success. */
import { z } from "zod";
import { parseRetryAfter } from "../retry.ts";
import type { HttpResponse, TokenAnswer, Verdict } from "./dialect.ts";

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

export const isSuccess = ({ status }: HttpResponse): boolean => status >= 200 && status < 300;

/** The body as JSON; undefined if it is none. */
export function jsonOf({ body }: HttpResponse): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** How the environment names this request in its own logs. */
export const requestIdOf = (response: HttpResponse): string | null =>
  response.header("x-request-id")?.slice(0, 200) ?? null;

/** Milliseconds that a 429 or 503 asks to wait, as a property to spread; `now` in milliseconds since the epoch. */
function retryAfterOf(response: HttpResponse, now: number): { retryAfter?: number } {
  if (response.status !== 429 && response.status !== 503) return {};
  const retryAfter = parseRetryAfter(response.header("retry-after"), now, response.header("date"));
  return retryAfter === undefined ? {} : { retryAfter };
}

/** The rows of the answer table for all that isn't a success. */
export function failureOf(response: HttpResponse, now: number): Verdict {
  const { status } = response;
  if (status === 401) return { kind: "unauthorized" };
  if (status === 400 || status === 413 || status === 422) return { kind: "refused" };
  if (status === 408 || status === 409 || status === 425 || status === 429 || status >= 500) {
    return { kind: "unavailable", ...retryAfterOf(response, now) };
  }
  return { kind: "misconfigured" };
}

/** An OAuth 2.0 token (RFC 6749, 5.1), or why there is none. */
export function tokenAnswer(response: HttpResponse, now: number): TokenAnswer {
  if (!isSuccess(response)) return tokenFailure(response, now);
  const parsed = TokenBody.safeParse(jsonOf(response));
  if (!parsed.success) return { ok: false, refused: false, httpStatus: response.status };
  const { access_token: value, expires_in: seconds } = parsed.data;
  return { ok: true, token: { value, lifetime: seconds === undefined ? undefined : seconds * 1000 } };
}

/** What a failure on the way to a token means for the credentials. */
export function tokenFailure(response: HttpResponse, now: number): TokenAnswer & { ok: false } {
  const { status } = response;
  const isTransient = status === 408 || status === 425 || status === 429 || status >= 500;
  return { ok: false, refused: !isTransient, httpStatus: status, ...retryAfterOf(response, now) };
}

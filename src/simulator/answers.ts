import type { Faults } from "./faults.ts";

/** What goes back to the client; "cut" destroys the connection instead. */
export type Answer = { status: number; body: string; retryAfter?: string } | "cut";

export const problem = (
  status: number,
  error: string,
  message: string,
  more?: Record<string, number>,
): Exclude<Answer, "cut"> => ({ status, body: JSON.stringify({ error, message, ...more }) });

/** 200 with a JSON body. */
export const json = (body: object): Answer => ({ status: 200, body: JSON.stringify(body) });

const withRetryAfter = (answer: Exclude<Answer, "cut">, { retryAfter }: Faults): Answer =>
  typeof retryAfter === "string" || typeof retryAfter === "number"
    ? { ...answer, retryAfter: String(retryAfter) }
    : answer;

/** 503, with a Retry-After only if the faults name one. */
export const unavailable = (faults: Faults): Answer =>
  withRetryAfter(problem(503, "unavailable", "the environment is not available"), faults);

/** 429, with the whole seconds until there is room, unless the faults name another Retry-After or none. */
export const tooManyRequests = (faults: Faults, waitMs: number): Answer => {
  const answer = problem(429, "too_many_requests", "the quota of requests per second is used up");
  if (faults.retryAfter !== undefined) return withRetryAfter(answer, faults);
  return { ...answer, retryAfter: String(Math.max(1, Math.ceil(waitMs / 1000))) };
};

/** The answer to every request during an outage, undefined when there is none. */
export const outageAnswer = (faults: Faults): Answer | undefined => {
  if (faults.outage === false) return undefined;
  return faults.outage === "503" ? unavailable(faults) : "cut";
};

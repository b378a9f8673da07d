import { type Answer, outageAnswer, problem, tooManyRequests, unavailable } from "./answers.ts";
import type { Environment, EnvironmentState } from "./environment.ts";
import type { Faults } from "./faults.ts";

/** What is wrong with an entries request before its entries are looked at, in the order an API gateway looks. */
export const refusal = (
  state: EnvironmentState,
  faults: Faults,
  request: { authorization: string | undefined; contentType: string | undefined },
): Answer | undefined => {
  const outage = outageAnswer(faults);
  if (outage !== undefined) return outage;
  const bearer = state.tokens.check(request.authorization);
  if (bearer === "unknown") return problem(401, "invalid_token", "the token is unknown or has expired");
  if (bearer === "without_scope") return problem(403, "insufficient_scope", "the token lacks dnc:write");
  const waitMs = state.quota.take(faults.requestsPerSecond);
  if (waitMs > 0) return tooManyRequests(faults, waitMs);
  if (!/^application\/json\s*(;|$)/i.test(request.contentType ?? "")) {
    return problem(415, "unsupported_media_type", "Content-Type must be application/json");
  }
  return undefined;
};

/**
 * Waits as long as the faults say.
 * @returns what happened to the environment meanwhile, if that is the answer now
 */
export const delay = async (
  environment: Environment,
  state: EnvironmentState,
): Promise<Answer | undefined> => {
  await environment.latency.wait(environment.faults);
  // After a reset the answer would speak of a list that is gone; cut, the client will repeat the request.
  return environment.state === state ? outageAnswer(environment.faults) : "cut";
};

/** `delay`, and then the failures that come by chance. */
export const interruption = async (
  environment: Environment,
  state: EnvironmentState,
): Promise<Answer | undefined> => {
  const interrupted = await delay(environment, state);
  if (interrupted !== undefined) return interrupted;
  const { faults, random } = environment;
  if (faults.errorRate > 0 && random() < faults.errorRate) {
    return random() < 0.5 ? unavailable(faults) : problem(500, "internal", "the environment failed");
  }
  return undefined;
};

/** The entries that a short acknowledgement leaves over; all of them without that fault. */
export const withoutLast = <Entry>(entries: readonly Entry[], { shortAck }: Faults): readonly Entry[] =>
  entries.slice(0, Math.max(0, entries.length - Number(shortAck)));

/** The answer to entries that have been applied, unless its connection is to be cut. */
export const afterApply = (answer: Answer, { faults, random }: Environment): Answer => {
  const drop = Number(faults.dropAfterApply);
  return drop > 0 && random() < drop ? "cut" : answer;
};

import { type Answer, outageAnswer, problem, tooManyRequests, unavailable } from "./answers.ts";
import { type Entry, parseEntries } from "./entries.ts";
import type { Environment, EnvironmentState } from "./environment.ts";
import type { Faults } from "./faults.ts";
import type { Claim } from "./idempotency.ts";
import type { RequestRecord } from "./request-log.ts";

const MAX_KEY_LENGTH = 255;

/** An entries request, fully received. */
export interface EntriesRequest {
  authorization: string | undefined;
  contentType: string | undefined;
  key: string | null;
  sha256: string;
  body: Buffer;
  requestId: string;
}

export interface EntriesAnswer {
  answer: Answer;
  /** The id to send: the first answer's when it is repeated. */
  requestId: string;
}

/** What is wrong with a request before its entries are looked at, in the order an API gateway looks. */
const refusal = (state: EnvironmentState, faults: Faults, request: EntriesRequest): Answer | undefined => {
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

const shortBy = ({ shortAck }: Faults): number =>
  typeof shortAck === "number" ? shortAck : shortAck ? 1 : 0;

interface Application {
  state: EnvironmentState;
  request: { key: string; requestId: string };
  entries: readonly Entry[];
  record: RequestRecord;
  claim: Extract<Claim, { kind: "fresh" }>;
}

/** Puts the entries on the list, or refuses them all. */
const apply = (environment: Environment, application: Application): Answer => {
  const { state, request, entries, record, claim } = application;
  const { faults, rejectedPhones, random } = environment;
  const index = rejectedPhones.size === 0 ? -1 : entries.findIndex(({ phone }) => rejectedPhones.has(phone));
  if (index !== -1) {
    claim.release();
    return problem(422, "entry_refused", `entry ${index} is refused`, { index });
  }
  const taken = entries.slice(0, Math.max(0, entries.length - shortBy(faults)));
  const duplicateCount = state.list.take(taken, request);
  // Duplicates are not counted in entriesProcessed, so that the sum says exactly how many were taken.
  const entriesProcessed = taken.length - duplicateCount;
  const answer = { status: 201, body: JSON.stringify({ success: true, entriesProcessed, duplicateCount }) };
  record.applied = taken.length > 0;
  // A short outcome isn't one to repeat: the same request must be able to do better once the fault is gone.
  if (taken.length === entries.length) claim.remember({ ...answer, requestId: request.requestId });
  else claim.release();
  const drop = Number(faults.dropAfterApply);
  return drop > 0 && random() < drop ? "cut" : answer;
};

/** What happened to the environment while the request waited. */
const interruption = (environment: Environment, state: EnvironmentState): Answer | undefined => {
  const { faults, random } = environment;
  // After a reset the answer would speak of a list that is gone; cut, the client will repeat the request.
  if (environment.state !== state) return "cut";
  const outage = outageAnswer(faults);
  if (outage !== undefined) return outage;
  if (faults.errorRate > 0 && random() < faults.errorRate) {
    return random() < 0.5 ? unavailable(faults) : problem(500, "internal", "the environment failed");
  }
  return undefined;
};

/** Answers one entries request, noting in `record` what it held and whether it was applied. */
export const answerEntries = async (
  environment: Environment,
  request: EntriesRequest,
  record: RequestRecord,
): Promise<EntriesAnswer> => {
  const { state } = environment;
  const { key, sha256, requestId } = request;
  const same = (answer: Answer): EntriesAnswer => ({ answer, requestId });

  const parsed = parseEntries(request.body);
  record.entries = parsed.count;
  if (key !== null) state.keys.witness(key, sha256);
  const refused = refusal(state, environment.faults, request);
  if (refused !== undefined) return same(refused);
  if (key === null || key === "" || key.length > MAX_KEY_LENGTH) {
    return same(
      problem(400, "invalid_idempotency_key", `Idempotency-Key must have 1 to ${MAX_KEY_LENGTH} characters`),
    );
  }
  if (parsed.entries === null) return same(problem(400, "invalid_request", parsed.reason));

  const claim = state.keys.claim(key, sha256);
  if (claim.kind === "in_progress") {
    return same(problem(409, "idempotency_key_in_progress", "a request with this key is in progress"));
  }
  if (claim.kind === "reused") {
    return same(problem(422, "idempotency_key_reused", "this key came with another body before"));
  }

  await environment.latency.wait(environment.faults);
  const interrupted = interruption(environment, state);
  if (interrupted !== undefined) {
    if (claim.kind === "fresh") claim.release();
    return same(interrupted);
  }
  if (claim.kind === "replay") {
    record.replayed = true;
    return { answer: claim.answer, requestId: claim.answer.requestId };
  }
  return same(
    apply(environment, { state, request: { key, requestId }, entries: parsed.entries, record, claim }),
  );
};

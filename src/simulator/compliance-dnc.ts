import { type Answer, problem } from "./answers.ts";
import type { EntriesAnswer, EntriesRequest, SimulatedDialect } from "./dialect.ts";
import { type Entry, parseEntries } from "./entries.ts";
import type { Environment, EnvironmentState } from "./environment.ts";
import { clientCredentialsGrant } from "./grants.ts";
import type { Claim } from "./idempotency.ts";
import { afterApply, interruption, refusal, withoutLast } from "./refusal.ts";
import type { RequestRecord } from "./request-log.ts";

const MAX_KEY_LENGTH = 255;

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
  const { faults, rejectedPhones } = environment;
  const index = rejectedPhones.size === 0 ? -1 : entries.findIndex(({ phone }) => rejectedPhones.has(phone));
  if (index !== -1) {
    claim.release();
    return problem(422, "entry_refused", `entry ${index} is refused`, { index });
  }
  const taken = withoutLast(entries, faults);
  const duplicateCount = state.list.take(taken, request, faults.duplicates);
  // Duplicates are not counted in entriesProcessed, so that the sum says exactly how many were taken.
  const entriesProcessed = taken.length - duplicateCount;
  const answer = { status: 201, body: JSON.stringify({ success: true, entriesProcessed, duplicateCount }) };
  record.applied = taken.length > 0;
  // A short outcome isn't one to repeat: the same request must be able to do better once the fault is gone.
  if (taken.length === entries.length) claim.remember({ ...answer, requestId: request.requestId });
  else claim.release();
  return afterApply(answer, environment);
};

const answerEntries = async (
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

  const interrupted = await interruption(environment, state);
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

/** The project's reference API: client credentials, and entries under idempotency keys. */
export const complianceDnc: SimulatedDialect = {
  tokens: [{ path: "/oauth/token", grant: clientCredentialsGrant }],
  entries: { path: "/api/v2/compliance/dnc/entries", answer: answerEntries },
  lookUps: [],
};

import { type Answer, json, problem } from "./answers.ts";
import type { EntriesAnswer, EntriesRequest, LookUp, SimulatedDialect } from "./dialect.ts";
import type { Environment } from "./environment.ts";
import { accessKeyGrant, passwordGrant } from "./grants.ts";
import { type DncRecord, e164Of, parseRecords } from "./records.ts";
import { afterApply, interruption, refusal, withoutLast } from "./refusal.ts";
import type { RequestRecord } from "./request-log.ts";

const TOKEN_PATH = "/auth/token";
const GROUPS_PATH = "/incontactapi/services/:version(^v\\d{1,2}\\.0$)/dnc-groups";
const GROUP_PATH = `${GROUPS_PATH}/:groupId(^\\d{1,15}$)`;

interface RecordResult {
  success: boolean;
  error: string | null;
  formattedPhone: string | null;
}

const failure = (error: string): RecordResult => ({ success: false, error, formattedPhone: null });

/** As people in North America write it; elsewhere as it is on the list. */
const formatted = (phone: string): string => phone.replace(/^\+1(\d{3})(\d{3})(\d{4})$/, "($1) $2-$3");

/** Puts each record that is right on the list; the answer tells of each. */
const apply = (
  environment: Environment,
  records: readonly DncRecord[],
  request: EntriesRequest,
  record: RequestRecord,
): Answer => {
  const { state, faults, rejectedPhones } = environment;
  const from = { key: request.key, requestId: request.requestId, dncGroupId: Number(request.params.groupId) };
  const recordResults = withoutLast(records, faults).map((given): RecordResult => {
    if (!given.valid) return failure(given.reason);
    if (rejectedPhones.has(given.phone)) return failure("the number is refused");
    state.list.take([given], from, faults.duplicates);
    record.applied = true;
    return { success: true, error: null, formattedPhone: formatted(given.phone) };
  });
  const errorCount = recordResults.filter(({ success }) => !success).length;
  return afterApply(json({ resultSet: { errorCount, recordResults } }), environment);
};

const answerRecords = async (
  environment: Environment,
  request: EntriesRequest,
  record: RequestRecord,
): Promise<EntriesAnswer> => {
  const { state, faults } = environment;
  const { key, sha256, requestId } = request;
  const answer = async (): Promise<Answer> => {
    const parsed = parseRecords(request.body);
    record.entries = parsed.count;
    // The API knows no such key; the client that sends one still promises the same bytes with it.
    if (key !== null) state.keys.witness(key, sha256);
    const refused = refusal(state, faults, request);
    if (refused !== undefined) return refused;
    if (parsed.records === null) return problem(400, "invalid_request", parsed.reason);
    const interrupted = await interruption(environment, state);
    return interrupted ?? apply(environment, parsed.records, request, record);
  };
  return { answer: await answer(), requestId };
};

/** The OpenID Connect Discovery document, as far as a client needs it. */
const openIdConfiguration = (_environment: Environment, { baseUrl }: LookUp): Answer =>
  json({
    issuer: baseUrl,
    token_endpoint: `${baseUrl}${TOKEN_PATH}`,
    grant_types_supported: ["password"],
    token_endpoint_auth_methods_supported: ["client_secret_basic"],
  });

const cxoneConfiguration = (_environment: Environment, { baseUrl, query }: LookUp): Answer => {
  const tenantId = query.get("tenantId") ?? "";
  if (tenantId === "") return problem(400, "invalid_request", "tenantId is missing");
  return json({ tenantId, api_endpoint: baseUrl });
};

/** An answer for those who have a token: reading needs no scope. */
const authorized =
  (answer: (environment: Environment, request: LookUp) => Answer) =>
  (environment: Environment, request: LookUp): Answer =>
    environment.state.tokens.check(request.authorization) === "unknown"
      ? problem(401, "invalid_token", "the token is unknown or has expired")
      : answer(environment, request);

const groupName = (dncGroupId: number): string => `Group ${dncGroupId}`;

const search = authorized(({ state }, { query }) => {
  const digits = query.get("phoneNumber") ?? "";
  if (!/^[1-9]\d{0,14}$/.test(digits)) {
    return problem(400, "invalid_request", "phoneNumber must be 1 to 15 digits");
  }
  const found = state.list.find(e164Of(Number(digits)));
  const searchResults = (found?.dncGroupIds ?? []).map((dncGroupId) => ({
    dncGroupId,
    dncGroupName: groupName(dncGroupId),
    formattedPhone: formatted(found?.phone ?? ""),
    expiredDate: found?.expirationDate ?? null,
    dateCollected: found?.addedAt,
  }));
  return json({ searchResults });
});

const group = authorized(({ faults }, { params }) => {
  const dncGroupId = Number(params.groupId);
  const dncGroup = {
    dncGroupId,
    dncGroupName: groupName(dncGroupId),
    dncGroupDescription: "",
    isActive: faults.dncGroup !== "inactive",
    isRemoved: false,
  };
  return json({ resultSet: { dncGroups: [dncGroup] } });
});

const scrubbedSkills = authorized(({ faults }) => {
  const skills = faults.dncGroup === "unscrubbed" ? [] : [{ skillId: 1, skillName: "Outbound" }];
  return json({ totalRecords: skills.length, scrubbedSkills: skills });
});

/**
 * The CXone Admin API as its public clients use it: any version, any group id. All groups of an environment
 * share its one list.
 */
export const adminDncGroups: SimulatedDialect = {
  tokens: [
    { path: TOKEN_PATH, grant: passwordGrant },
    { path: "/authentication/v1/token/access-key", grant: accessKeyGrant },
  ],
  entries: { path: `${GROUP_PATH}/records`, answer: answerRecords },
  lookUps: [
    { method: "GET", path: "/.well-known/openid-configuration", answer: openIdConfiguration },
    { method: "GET", path: "/.well-known/cxone-configuration", answer: cxoneConfiguration },
    { method: "POST", path: `${GROUPS_PATH}/search`, answer: search },
    { method: "GET", path: GROUP_PATH, answer: group },
    { method: "GET", path: `${GROUP_PATH}/scrubbed-skills`, answer: scrubbedSkills },
  ],
};

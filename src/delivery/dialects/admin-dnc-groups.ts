import { z } from "zod";
import type { Entry } from "../../batching/batch.ts";
import { failed } from "../../check/finding.ts";
import { bothOrNeither, evenIfFaulty, httpUrl, name, secret, whole } from "../../config/fields.ts";
import { failureOf, isSuccess, jsonOf, requestIdOf, tokenAnswer, tokenFailure } from "./answers.ts";
import { createApiLocator } from "./api-host.ts";
import { checkWithoutEntries } from "./check-access.ts";
import type {
  DialectDefinition,
  EntryOutcome,
  HttpResponse,
  HttpSend,
  TokenAnswer,
  Verdict,
} from "./dialect.ts";
import { discover } from "./discovery.ts";
import { checkGroup } from "./dnc-group.ts";
import { createTranslator, numberForms, type Translation } from "./number-forms.ts";

const keys = {
  baseUrl: httpUrl({ example: "https://cxone.niceincontact.com", base: true }).describe(
    "With admin-dnc-groups, the issuer of tokens; it names the API's host.",
  ),
  tenantId: name("a tenant id"),
  apiVersion: whole(1, 99).default(30).describe("30 calls v30.0 of the API."),
  groupId: whole(1, 2_147_483_647).describe("The do-not-call group that opt-outs are added to."),
  numberForms,
  auth: z
    .strictObject({
      accessKeyId: name("an access key id"),
      accessKeySecret: secret(),
      clientId: name("a client id")
        .exactOptional()
        .describe("With clientSecret: tokens come from the OpenID Connect endpoint."),
      clientSecret: secret().exactOptional(),
    })
    .superRefine(bothOrNeither("clientId", "clientSecret"), evenIfFaulty),
};

/** As the public clients of this API do. */
const MAX_RECORDS = 100;

/** The API's own words may quote the number. */
const NOT_ADDED = "the API didn't add this number to the group";

const Results = z.object({
  resultSet: z.object({
    errorCount: z.int().nonnegative().nullish(),
    recordResults: z.array(
      z.object({ success: z.boolean(), formattedPhone: z.string().nullish().catch(null) }),
    ),
  }),
});

/** False if the API speaks of another number than the one sent, as far as its last digits tell. */
function isAbout(formattedPhone: string, phoneNumber: number): boolean {
  const said = formattedPhone.replace(/\D/g, "");
  const sent = String(phoneNumber);
  return sent.endsWith(said) || said.endsWith(sent);
}

/**
 * A success has a result for each record, in their order. Why a record failed isn't known, so it may pass. What contradicts
 * itself, or can't be read, is taken for no delivery at all.
 */
function outcomesOf(response: HttpResponse, sent: readonly number[]): EntryOutcome[] | undefined {
  const { data } = Results.safeParse(jsonOf(response));
  if (data === undefined) return undefined;
  const { recordResults, errorCount } = data.resultSet;
  const failed = recordResults.filter(({ success }) => !success).length;
  if (recordResults.length !== sent.length || (errorCount ?? 0) > failed) return undefined;
  const isInOrder = recordResults.every(({ formattedPhone }, index) =>
    isAbout(formattedPhone ?? "", sent[index] ?? 0),
  );
  // Whose failure is it? Of a single record there is no doubt.
  if (failed > 0 && sent.length > 1 && !isInOrder) return undefined;
  return recordResults.map(({ success }) =>
    success ? { kind: "taken" } : { kind: "retry", detail: NOT_ADDED },
  );
}

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

interface TokenRequest {
  issuer: string;
  credentials: z.output<typeof keys.auth>;
  now: () => number;
}

/** With a client of our own the password grant of OpenID Connect, else the API's own exchange of an access key. */
async function requestToken(
  send: HttpSend,
  { issuer, credentials, now }: TokenRequest,
  signal: AbortSignal,
): Promise<TokenAnswer> {
  const { accessKeyId, accessKeySecret, clientId, clientSecret } = credentials;
  const accept = "application/json";
  if (clientId === undefined || clientSecret === undefined) {
    const url = `${issuer}/authentication/v1/token/access-key`;
    const headers = { "content-type": "application/json", accept };
    const body = JSON.stringify({ accessKeyId, accessKeySecret });
    return tokenAnswer(await send({ method: "POST", url, headers, body, signal }), now());
  }
  const path = "/.well-known/openid-configuration";
  const endpoint = await discover(send, { issuer, path, property: "token_endpoint" }, signal);
  if (!endpoint.ok) {
    const { response, detail, isGarbage } = endpoint;
    const failure = tokenFailure(response, now());
    return { ...failure, refused: failure.refused && !isGarbage, detail };
  }
  const headers = {
    authorization: basic(clientId, clientSecret),
    "content-type": "application/x-www-form-urlencoded",
    accept,
  };
  const form = { grant_type: "password", username: accessKeyId, password: accessKeySecret };
  const body = new URLSearchParams(form).toString();
  return tokenAnswer(await send({ method: "POST", url: endpoint.url, headers, body, signal }), now());
}

/** What became of the entries: each that was sent has the next outcome, the others were refused here. */
function verdictOf(translations: readonly Translation[], outcomes: readonly EntryOutcome[]): Verdict {
  const left = outcomes.values();
  const all = translations.map((each): EntryOutcome => {
    if (!each.ok) return { kind: "refused", detail: each.detail, sent: false };
    return left.next().value ?? { kind: "retry", detail: NOT_ADDED };
  });
  return all.every(({ kind }) => kind === "taken")
    ? { kind: "acknowledged" }
    : { kind: "entries", outcomes: all };
}

/** Equal entries make equal bytes. No idempotency key goes with them: the API knows none, and adding a number again changes nothing. */
const bodyOf = (entries: readonly Entry[], translations: readonly Translation[]): string =>
  JSON.stringify({
    dncGroupRecords: entries.flatMap(({ expirationDate }, index) => {
      const translation = translations[index];
      return translation?.ok ? [{ phoneNumber: translation.phoneNumber, expiredDate: expirationDate }] : [];
    }),
  });

/** The CXone Admin API as its public clients use it: a do-not-call group, with a result for each record. */
export const adminDncGroups: DialectDefinition<"admin-dnc-groups", typeof keys> = {
  name: "admin-dnc-groups",
  keys,
  create({ environment, auth, now }) {
    const { baseUrl: issuer, tenantId, apiVersion, groupId } = environment;
    const translate = createTranslator(environment.numberForms);
    const locateApi = createApiLocator({ issuer, tenantId, now });
    const groupPath = `/incontactapi/services/v${apiVersion}.0/dnc-groups/${groupId}`;
    const recordsPath = `${groupPath}/records`;
    return {
      maxEntries: MAX_RECORDS,
      scope: undefined,
      requestToken: (send, signal) => requestToken(send, { issuer, credentials: auth(), now }, signal),
      async submit(send, { entries, token }, signal) {
        const translations = entries.map(({ phone }) => translate(phone));
        const sent = translations.flatMap((each) => (each.ok ? [each.phoneNumber] : []));
        if (sent.length === 0) {
          return { verdict: verdictOf(translations, []), httpStatus: null, requestId: null };
        }
        const api = await locateApi(send, token, signal);
        if (!api.ok) return api.answer;
        const { host } = api;
        const headers = {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          accept: "application/json",
        };
        const body = bodyOf(entries, translations);
        const request = { method: "POST" as const, url: host.url + recordsPath, headers, body, signal };
        const response = await send(request).catch((error: unknown) => {
          // Given up by the relay itself, it says nothing of the host.
          if (!signal.aborted) host.doubt();
          throw error;
        });
        const about = { httpStatus: response.status, requestId: requestIdOf(response) };
        if (!isSuccess(response)) {
          const verdict = failureOf(response, now());
          if (verdict.kind === "misconfigured" || response.status >= 500) host.doubt();
          return { verdict, ...about };
        }
        const outcomes = outcomesOf(response, sent);
        if (outcomes !== undefined) return { verdict: verdictOf(translations, outcomes), ...about };
        host.doubt();
        return { verdict: { kind: "short" }, ...about };
      },
      async check(send, token, signal) {
        const api = await locateApi(send, token, signal);
        if (!api.ok) {
          const detail = api.answer.detail ?? `the issuer answers ${api.answer.httpStatus}`;
          return [failed("api", detail, "Check baseUrl and tenantId of this environment.")];
        }
        const request = { url: api.host.url + recordsPath, token, signal };
        const remedy = `Let the owner of the access key change the do-not-call group ${groupId}.`;
        const [access, group] = await Promise.all([
          checkWithoutEntries(send, request, remedy),
          checkGroup(send, { ...request, url: api.host.url + groupPath, groupId }),
        ]);
        return [access, ...group];
      },
    };
  },
};

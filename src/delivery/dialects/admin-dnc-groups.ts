import { parsePhoneNumberFromString } from "libphonenumber-js/max";
import { z } from "zod";
import type { Entry } from "../../batching/batch.ts";
import {
  bothOrNeither,
  evenIfFaulty,
  httpUrl,
  name,
  oneOf,
  secret,
  text,
  whole,
} from "../../config/fields.ts";
import { failureOf, isSuccess, jsonOf, requestIdOf, tokenAnswer, tokenFailure } from "./answers.ts";
import type {
  Answer,
  DialectDefinition,
  EntryOutcome,
  HttpResponse,
  HttpSend,
  TokenAnswer,
  Verdict,
} from "./dialect.ts";
import { discover } from "./discovery.ts";

const callingCode = text(
  /^[1-9]\d{0,2}$/,
  'expected a country calling code as a key, without +, such as "44"',
);
const numberForm = oneOf(["digits", "national"]);
type NumberForm = z.output<typeof numberForm>;

const keys = {
  baseUrl: httpUrl({ example: "https://cxone.niceincontact.com", base: true }).describe(
    "With admin-dnc-groups, the issuer of tokens; it names the API's host.",
  ),
  tenantId: name("a tenant id"),
  apiVersion: whole(1, 99).default(30).describe("30 calls v30.0 of the API."),
  groupId: whole(1, 2_147_483_647).describe("The do-not-call group that opt-outs are added to."),
  numberForms: z
    .record(callingCode, numberForm)
    .prefault({})
    .describe(
      "How this group holds the numbers of a country, by its calling code. digits: with the calling code; national: without, which for other codes than 1 can be the same as a number of the US. Numbers of a calling code that isn't here are rejected; 1 is national unless set.",
    ),
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

type Translation = { ok: true; phoneNumber: number } | { ok: false; detail: string };

/** E.164 → the integer that the API takes. A number has 15 digits at most, so an integer holds it exactly. */
function translatePhone(phone: string, forms: Readonly<Record<string, NumberForm>>): Translation {
  const parsed = phone.startsWith("+1")
    ? // No other calling code begins with 1, and it has no number that begins with 0.
      { countryCallingCode: "1", nationalNumber: phone.slice(2) }
    : parsePhoneNumberFromString(phone, { extract: false });
  if (parsed === undefined) return { ok: false, detail: "the number's country calling code is unknown" };
  const { countryCallingCode: code, nationalNumber } = parsed;
  const form = forms[code] ?? (code === "1" ? "national" : undefined);
  if (form === undefined) {
    const detail = `numbers of +${code} have no form here: set numberForms of this environment`;
    return { ok: false, detail };
  }
  if (form === "digits") return { ok: true, phoneNumber: Number(phone.slice(1)) };
  if (!nationalNumber.startsWith("0")) return { ok: true, phoneNumber: Number(nationalNumber) };
  const detail = `this number of +${code} begins with 0 in its national form, which an integer can't hold: set numberForms to digits`;
  return { ok: false, detail };
}

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
 * A success has a result for each record, in their order. A failed record is tried again by itself before it counts as
 * refused. What contradicts itself, or can't be read, is taken for no delivery at all.
 */
export function outcomesOf(response: HttpResponse, sent: readonly number[]): EntryOutcome[] | undefined {
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
  const otherwise = sent.length === 1 ? "refused" : "retry";
  return recordResults.map(({ success }) => (success ? "taken" : otherwise));
}

interface ApiHost {
  url: string;
  /** The token it was last confirmed with. */
  token: string;
  /** It answered as if it weren't this API. */
  isSuspect: boolean;
}

type LocatedHost = { ok: true; host: ApiHost } | { ok: false; answer: Answer };

/** Knows where the API is, which may change: asks anew with each new token, and after answers that make no sense. */
function createApiLocator(issuer: string, tenantId: string, now: () => number) {
  let known: ApiHost | undefined;
  let pending: { signal: AbortSignal; located: Promise<LocatedHost> } | undefined;

  const ask = async (send: HttpSend, token: string, signal: AbortSignal): Promise<LocatedHost> => {
    const path = `/.well-known/cxone-configuration?tenantId=${encodeURIComponent(tenantId)}`;
    const found = await discover(send, { issuer, path, property: "api_endpoint" }, signal);
    if (found.ok) {
      known = { url: found.url.replace(/\/+$/, ""), token, isSuspect: false };
      return { ok: true, host: known };
    }
    const { response, detail } = found;
    const failure = isSuccess(response) ? undefined : failureOf(response, now());
    // A 401 or 400 here is about neither the token nor the entries.
    const verdict: Verdict = failure?.kind === "unavailable" ? failure : { kind: "misconfigured" };
    return {
      ok: false,
      answer: { verdict, httpStatus: response.status, requestId: requestIdOf(response), detail },
    };
  };

  const locate = async (send: HttpSend, token: string, signal: AbortSignal): Promise<LocatedHost> => {
    if (known === undefined || known.isSuspect) return ask(send, token, signal);
    const trusted = known;
    const located = await ask(send, token, signal).catch(() => undefined);
    if (located?.ok) return located;
    // An issuer that can't tell is no reason to leave a host that works.
    known = { ...trusted, token };
    return { ok: true, host: known };
  };

  return (send: HttpSend, token: string, signal: AbortSignal): Promise<LocatedHost> => {
    if (known?.token === token && !known.isSuspect) return Promise.resolve({ ok: true, host: known });
    if (pending !== undefined && !pending.signal.aborted) return pending.located;
    const located = locate(send, token, signal).finally(() => {
      if (pending?.located === located) pending = undefined;
    });
    pending = { signal, located };
    return located;
  };
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
  if (!endpoint.ok) return { ...tokenFailure(endpoint.response, now()), detail: endpoint.detail };
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
function merged(
  translations: readonly Translation[],
  outcomes: readonly EntryOutcome[],
): Pick<Answer, "verdict" | "detail"> {
  const left = [...outcomes];
  const all = translations.map(({ ok }) => (ok ? (left.shift() ?? "retry") : "refused"));
  if (all.every((outcome) => outcome === "taken")) return { verdict: { kind: "acknowledged" } };
  const details = new Set(translations.flatMap((each) => (each.ok ? [] : [each.detail])));
  if (outcomes.includes("refused")) details.add("the API didn't add this number to the group");
  const detail = [...details].join("; ");
  return { verdict: { kind: "entries", outcomes: all }, ...(detail !== "" && { detail }) };
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
    const { baseUrl: issuer, tenantId, apiVersion, groupId, numberForms } = environment;
    const locateApi = createApiLocator(issuer, tenantId, now);
    const recordsPath = `/incontactapi/services/v${apiVersion}.0/dnc-groups/${groupId}/records`;
    return {
      maxEntries: MAX_RECORDS,
      scope: undefined,
      requestToken: (send, signal) => requestToken(send, { issuer, credentials: auth(), now }, signal),
      async submit(send, { entries, token }, signal) {
        const translations = entries.map(({ phone }) => translatePhone(phone, numberForms));
        const sent = translations.flatMap((each) => (each.ok ? [each.phoneNumber] : []));
        if (sent.length === 0) return { ...merged(translations, []), httpStatus: null, requestId: null };
        const api = await locateApi(send, token, signal);
        if (!api.ok) return api.answer;
        const response = await send({
          method: "POST",
          url: api.host.url + recordsPath,
          headers: {
            authorization: `Bearer ${token}`,
            "content-type": "application/json",
            accept: "application/json",
          },
          body: bodyOf(entries, translations),
          signal,
        });
        const about = { httpStatus: response.status, requestId: requestIdOf(response) };
        if (!isSuccess(response)) {
          const verdict = failureOf(response, now());
          if (verdict.kind === "misconfigured") api.host.isSuspect = true;
          return { verdict, ...about };
        }
        const outcomes = outcomesOf(response, sent);
        if (outcomes === undefined) return { verdict: { kind: "short" }, ...about };
        return { ...merged(translations, outcomes), ...about };
      },
    };
  },
};

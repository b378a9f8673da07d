import { z } from "zod";
import { httpUrl, name, secret } from "../../config/fields.ts";
import { failureOf, isSuccess, jsonOf, requestIdOf, tokenAnswer } from "./answers.ts";
import { checkWithoutEntries } from "./check-access.ts";
import type { DialectDefinition, HttpResponse, Verdict } from "./dialect.ts";

const keys = {
  auth: z.strictObject({
    clientId: name("a client id"),
    clientSecret: secret(),
    scope: name("a scope").default("dnc:write"),
    tokenUrl: httpUrl({ example: "https://api.nice.incontact.com/oauth/token", base: false })
      .exactOptional()
      .describe("Absent: baseUrl/oauth/token."),
  }),
};

const Acknowledgement = z.object({
  success: z.literal(true),
  entriesProcessed: z.int().nonnegative(),
  duplicateCount: z.int().nonnegative().optional(),
});

/**
 * A success counts only if it says so and covers the entries. Some servers count duplicates within `entriesProcessed`: a sum
 * above the entries proves it, and then only `entriesProcessed` tells how many were taken. A sum that is right by chance
 * (5 taken of 10, all of them duplicates, counted twice) can't be told from a whole one.
 */
function isWhole(response: HttpResponse, entries: number): boolean {
  const parsed = Acknowledgement.safeParse(jsonOf(response));
  if (!parsed.success) return false;
  const { entriesProcessed, duplicateCount = 0 } = parsed.data;
  return entriesProcessed >= entries || entriesProcessed + duplicateCount === entries;
}

const entriesUrl = (baseUrl: string): string => `${baseUrl}/api/v2/compliance/dnc/entries`;

/** The rows of the answer table. */
export function verdictOf(response: HttpResponse, entries: number, now: number): Verdict {
  if (!isSuccess(response)) return failureOf(response, now);
  return { kind: isWhole(response, entries) ? "acknowledged" : "short" };
}

/** The project's reference API; see "Requests out" in the documentation of the contract. */
export const complianceDnc: DialectDefinition<"compliance-dnc", typeof keys> = {
  name: "compliance-dnc",
  keys,
  create: ({ environment, auth, now }) => ({
    maxEntries: Number.POSITIVE_INFINITY,
    scope: environment.auth.scope,
    async requestToken(send, signal) {
      const { clientId, clientSecret, scope, tokenUrl } = auth();
      const response = await send({
        method: "POST",
        url: tokenUrl ?? `${environment.baseUrl}/oauth/token`,
        headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json" },
        body: new URLSearchParams({
          grant_type: "client_credentials",
          client_id: clientId,
          client_secret: clientSecret,
          scope,
        }).toString(),
        signal,
      });
      return tokenAnswer(response, now());
    },
    async submit(send, { key, entries, body, token }, signal) {
      const response = await send({
        method: "POST",
        url: entriesUrl(environment.baseUrl),
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
        requestId: requestIdOf(response),
      };
    },
    async check(send, token, signal) {
      const { scope } = environment.auth;
      const remedy = `Have the scope "${scope}" given to this client, or correct auth.scope.`;
      return [
        await checkWithoutEntries(send, { url: entriesUrl(environment.baseUrl), token, signal }, remedy),
      ];
    },
  }),
};

import { failed, notChecked, type Observation, ok, warning } from "../../check/finding.ts";
import { isSuccess, jsonOf } from "./answers.ts";
import type { HttpResponse, HttpSend } from "./dialect.ts";

export interface AuthorizedRequest {
  url: string;
  token: string;
  signal: AbortSignal;
}

const CHECK = "api";

/**
 * Posts nothing at all to where entries go: without a body there is no number that could be added, but servers say before
 * they miss it whether they know the address, the token and its scope. `forbidden` mends a 403. Throws as `send` does.
 */
export async function checkWithoutEntries(
  send: HttpSend,
  { url, token, signal }: AuthorizedRequest,
  forbidden: string,
): Promise<Observation> {
  const headers = { authorization: `Bearer ${token}`, accept: "application/json" };
  const response = await send({ method: "POST", url, headers, body: "", signal });
  const { status } = response;
  if (status === 401) {
    const remedy = "Check baseUrl and auth of this environment: they may be of different ones.";
    return failed(CHECK, "it doesn't accept the token that was issued for it (401)", remedy);
  }
  if (status === 403) return failed(CHECK, "the token may not add to the list (403)", forbidden);
  if ([400, 411, 415, 422].includes(status)) {
    return ok(CHECK, `takes the token, and misses the entries that weren't sent (${status}); none was added`);
  }
  if (isSuccess(response)) return judgeSuccess(response);
  if (status === 429) {
    const detail = "takes no request now (429): something else uses up this tenant's quota";
    return warning(CHECK, detail, "Lower requestsPerSecond of this environment by what others need.");
  }
  if (status >= 500)
    return failed(CHECK, `it answers ${status} now`, "Check again later; the relay retries without end.");
  if (status === 408 || status === 409 || status === 425)
    return notChecked(CHECK, `it answers ${status} now`);
  return failed(
    CHECK,
    `it answers ${status}: entries aren't taken at that address`,
    "Check baseUrl and dialect of this environment.",
  );
}

/** Pages for people, to sign in or of a proxy, are sent with a 200 too; the API answers with an object. */
function judgeSuccess(response: HttpResponse): Observation {
  const { status } = response;
  const answer = jsonOf(response);
  if (typeof answer === "object" && answer !== null && !Array.isArray(answer)) {
    return ok(CHECK, `takes the token (${status}); none was added`);
  }
  return notChecked(
    CHECK,
    `it answers ${status}, but not as the API does: something else may be at that address`,
    "Check baseUrl and dialect of this environment, and proxies on the way to it.",
  );
}

import type { Config } from "../config/schema.ts";
import type { HttpSend, TokenAnswer } from "../delivery/dialects/dialect.ts";
import { createDialect } from "../delivery/environment.ts";
import { createHttpClient } from "../delivery/http.ts";
import { messageOf, OptoutError } from "../errors.ts";
import { about, type Finding, failed, notChecked, type Observation, ok, warning } from "./finding.ts";

type Environment = Config["environments"][number];

/** Beyond this, dates and lifetimes that the environment states are misread. */
const MAX_SKEW_MS = 60_000;
/** `Date` has whole seconds, cut off. */
const DATE_PRECISION_MS = 500;
const CONNECTIONS = 2;

/**
 * A token, the clock, and whatever the dialect can ask without adding anything to a list. Never rejects; each request has
 * `timeout` milliseconds, or the environment's own if that is less.
 */
export async function checkEnvironment(
  config: Environment,
  index: number,
  timeout: number,
): Promise<Finding[]> {
  const client = createHttpClient({
    connections: CONNECTIONS,
    timeout: Math.min(timeout, config.requestTimeout),
  });
  const watched = watch(client.send);
  const ending = new AbortController();
  try {
    const dialect = createDialect({ config });
    const { signal } = ending;
    const answer = await dialect
      .requestToken(watched.send, signal)
      .catch((cause: unknown): Unanswered => ({ ok: undefined, cause }));
    const observations = [token(answer, { config, index, watched })];
    const further = answer.ok ? await furtherChecks(dialect, watched.send, answer.token.value, signal) : [];
    return about("environment", config.name, [...observations, clock(watched.skew()), ...further]);
  } catch (error) {
    return about("environment", config.name, [failed("api", messageOf(error), checkAddress(index))]);
  } finally {
    ending.abort();
    await client.close();
  }
}

/** A request that got no answer, and why. */
interface Unanswered {
  ok: undefined;
  cause: unknown;
}

async function furtherChecks(
  dialect: ReturnType<typeof createDialect>,
  send: HttpSend,
  value: string,
  signal: AbortSignal,
): Promise<Observation[]> {
  if (dialect.check === undefined) {
    return [notChecked("api", "nothing can be asked of this dialect without adding to a list")];
  }
  try {
    return await dialect.check(send, value, signal);
  } catch (error) {
    return [
      failed(
        "api",
        `no answer: ${transportReason(error)}`,
        "Check that the environment is up, and its address.",
      ),
    ];
  }
}

interface Watched {
  send: HttpSend;
  /** Host of the last request. */
  host(): string;
  /** Of the last answer, if it is one of those of RFC 6749, 5.2. */
  oauthError(): string | undefined;
  /** Milliseconds that the environment's clock is ahead of ours; undefined if it hasn't said. */
  skew(): number | undefined;
}

const OAUTH_ERROR =
  /"error"\s*:\s*"(invalid_request|invalid_client|invalid_grant|unauthorized_client|unsupported_grant_type|invalid_scope)"/;

function watch(inner: HttpSend): Watched {
  let host = "";
  let oauthError: string | undefined;
  let skew: number | undefined;
  return {
    async send(request) {
      host = new URL(request.url).host;
      oauthError = undefined;
      const sentAt = Date.now();
      const response = await inner(request);
      const middle = (sentAt + Date.now()) / 2;
      oauthError = OAUTH_ERROR.exec(response.body)?.[1];
      const date = Date.parse(response.header("date") ?? "");
      if (Number.isFinite(date)) skew = date + DATE_PRECISION_MS - middle;
      return response;
    },
    host: () => host,
    oauthError: () => oauthError,
    skew: () => skew,
  };
}

const checkAddress = (index: number): string =>
  `Check environments[${index}].baseUrl, the network, and that the environment is up.`;

interface TokenContext {
  config: Environment;
  index: number;
  watched: Watched;
}

function token(answer: TokenAnswer | Unanswered, { config, index, watched }: TokenContext): Observation {
  const check = "token";
  const where = watched.host();
  if (answer.ok) {
    const { lifetime } = answer.token;
    const lives =
      lifetime === undefined ? "of unknown lifetime" : `good for ${Math.round(lifetime / 1_000)} s`;
    return ok(check, `issued by ${where}, ${lives}`);
  }
  if (answer.ok === undefined) {
    return failed(check, `no answer from ${where}: ${transportReason(answer.cause)}`, checkAddress(index));
  }
  const { httpStatus, refused, detail } = answer;
  const said = detail ?? `${where} answers ${httpStatus}`;
  if (!refused && httpStatus < 300) {
    return failed(
      check,
      `${said} without a token that could be used`,
      `Check the addresses in environments[${index}].`,
    );
  }
  if (!refused) return failed(check, `${said} now`, "Check again later; the relay retries without end.");
  return refusedToken({ said, httpStatus, error: watched.oauthError() }, config, index);
}

interface Refusal {
  said: string;
  httpStatus: number;
  error: string | undefined;
}

function refusedToken(
  { said, httpStatus, error }: Refusal,
  { auth }: Environment,
  index: number,
): Observation {
  const path = `environments[${index}].auth`;
  const says = error === undefined ? said : `${said} (${error})`;
  if (error === "invalid_scope") {
    const scope = "scope" in auth ? ` "${auth.scope}"` : "";
    return failed(
      "token",
      `${says}: the scope${scope} isn't one it gives this client`,
      `Check ${path}.scope.`,
    );
  }
  if (httpStatus === 404 || httpStatus === 405 || (httpStatus >= 300 && httpStatus < 400)) {
    const keys = "tokenUrl" in auth ? `${path}.tokenUrl` : `environments[${index}].baseUrl`;
    return failed("token", `${says}: no token is issued at that address`, `Check ${keys}.`);
  }
  const keys = Object.keys(auth).filter((key) => key !== "tokenUrl");
  return failed("token", `${says}: it refuses the credentials`, `Check ${keys.join(", ")} in ${path}.`);
}

function clock(skew: number | undefined): Observation {
  if (skew === undefined) return notChecked("clock", "the environment hasn't told its time");
  const seconds = Math.round(Math.abs(skew) / 1_000);
  if (Math.abs(skew) <= MAX_SKEW_MS) return ok("clock", `within ${Math.max(seconds, 1)} s of this machine's`);
  return warning(
    "clock",
    `${seconds} s ${skew > 0 ? "ahead of" : "behind"} this machine's: times in results won't match the environment's`,
    "Set this machine's clock by NTP; if it is right, tell the environment's operator.",
  );
}

/** What happened to a request, without an address. */
function transportReason(error: unknown): string {
  if (error instanceof OptoutError) return error.message;
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const known: Record<string, string> = {
    ECONNREFUSED: "nothing listens there",
    ENOTFOUND: "the host name doesn't resolve",
    EAI_AGAIN: "the host name doesn't resolve",
    ECONNRESET: "the connection was cut",
    UND_ERR_SOCKET: "the connection was cut",
    UND_ERR_CONNECT_TIMEOUT: "no connection in time",
    UND_ERR_HEADERS_TIMEOUT: "no answer in time",
    UND_ERR_BODY_TIMEOUT: "no whole answer in time",
  };
  return known[code] ?? `${messageOf(error)}${code && ` (${code})`}`;
}

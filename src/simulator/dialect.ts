import type { Answer } from "./answers.ts";
import type { Environment } from "./environment.ts";
import type { GrantReader } from "./grants.ts";
import type { RequestRecord } from "./request-log.ts";

/** An entries request, fully received. */
export interface EntriesRequest {
  authorization: string | undefined;
  contentType: string | undefined;
  key: string | null;
  sha256: string;
  body: Buffer;
  requestId: string;
  params: Readonly<Record<string, string>>;
}

export interface EntriesAnswer {
  answer: Answer;
  /** The id to send: the first answer's when it is repeated. */
  requestId: string;
}

/** A request that changes nothing. */
export interface LookUp {
  /** The environment's base URL with the host that the client used. */
  baseUrl: string;
  authorization: string | undefined;
  params: Readonly<Record<string, string>>;
  query: URLSearchParams;
}

/** How one kind of environment API is spoken. Paths are below the environment's own. */
export interface SimulatedDialect {
  /** POST. */
  readonly tokens: readonly { path: string; grant: GrantReader }[];
  /** POST; `answer` notes in the record what the request held and whether it was applied. */
  readonly entries: {
    path: string;
    answer(environment: Environment, request: EntriesRequest, record: RequestRecord): Promise<EntriesAnswer>;
  };
  readonly lookUps: readonly {
    method: "GET" | "POST";
    path: string;
    answer(environment: Environment, request: LookUp): Answer;
  }[];
}

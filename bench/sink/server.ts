/**
 * The environments of a bench, in a process of its own: what `src/simulator` answers, without what makes that one good
 * for tests and slow. It keeps no requests, and counts entries as they come. Argument: the number of environments.
 *
 * `PUT /_bench` starts a run, `GET /_bench` tells how far it is, `GET /_bench/done` answers once every environment has every event,
 * `GET /_bench/times` gives the time of each event's last answer.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createTally } from "./tally.ts";

/** What a run begins with. */
export interface Run {
  events: number;
  environments: number;
  /** Of every answer to entries. */
  latencyMs: number;
}

export interface Progress {
  requests: number;
  complete: number;
  /** Entries that an environment had already. */
  duplicates: number;
  firstAt: number | null;
  doneAt: number | null;
}

const TOKEN = "a-token-of-the-bench";
const PATH = /^\/(\d+)(\/oauth\/token|\/api\/v2\/compliance\/dnc\/entries)$/;

let run: Run = { events: 0, environments: 1, latencyMs: 0 };
let tally = createTally(0, 1, () => {});
let progress: Progress = { requests: 0, complete: 0, duplicates: 0, firstAt: null, doneAt: null };
let waiting: ServerResponse[] = [];

function begin(next: Run): void {
  run = next;
  for (const response of waiting) answer(response, 409, { error: "another run has begun" });
  waiting = [];
  progress = { requests: 0, complete: 0, duplicates: 0, firstAt: null, doneAt: null };
  tally = createTally(run.events, run.environments, () => {
    progress.doneAt = Date.now();
    for (const response of waiting) answer(response, 200, now());
    waiting = [];
  });
}

const now = (): Progress => ({ ...progress, complete: tally.complete });

function answer(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "x-request-id": `request-${progress.requests}`,
  });
  response.end(text);
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}

function answerEntries(
  environment: number,
  { headers }: IncomingMessage,
  body: Buffer,
  response: ServerResponse,
): void {
  progress.requests++;
  if (headers.authorization !== `Bearer ${TOKEN}`) answer(response, 401, { error: "invalid_token" });
  else if (!headers["idempotency-key"]) answer(response, 400, { error: "invalid_idempotency_key" });
  else {
    const taken = environment < run.environments ? tally.take(environment, body) : undefined;
    if (taken === undefined) answer(response, 400, { error: "invalid_request" });
    else {
      const { entries, duplicates } = taken;
      progress.duplicates += duplicates;
      const entriesProcessed = entries - duplicates;
      answer(response, 201, { success: true, entriesProcessed, duplicateCount: duplicates });
    }
  }
}

async function answerControl(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === "PUT") {
    begin(JSON.parse((await bodyOf(request)).toString()));
    answer(response, 200, run);
  } else if (request.url === "/_bench/times") response.end(Buffer.from(tally.completedAt.buffer));
  else if (request.url === "/_bench/done" && progress.doneAt === null) waiting.push(response);
  else answer(response, 200, now());
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url?.startsWith("/_bench")) return answerControl(request, response);
  const [, environment, path] = PATH.exec(request.url ?? "") ?? [];
  const body = await bodyOf(request);
  if (request.method !== "POST" || path === undefined) answer(response, 404, { error: "not_found" });
  else if (path === "/oauth/token") {
    answer(response, 200, { access_token: TOKEN, token_type: "Bearer", expires_in: 3_600 });
  } else {
    progress.firstAt ??= Date.now();
    const finish = (): void => answerEntries(Number(environment), request, body, response);
    if (run.latencyMs === 0) finish();
    else setTimeout(finish, run.latencyMs);
  }
}

const server = createServer((request, response) => {
  // A client that is killed cuts its requests.
  handle(request, response).catch(() => response.destroy());
});
server.keepAliveTimeout = 60_000;
server.requestTimeout = 0;
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}` })}\n`);
});

import type { HttpRequest, HttpSend } from "../../src/delivery/dialects/dialect.ts";
import type { Judge } from "./judge.ts";
import type { Answer } from "./words.ts";

/** As the HTTP client has it. */
const REQUEST_TIMEOUT_MS = 30_000;

/** Rejects after the HTTP client's timeout. */
const withTimeout =
  (send: HttpSend): HttpSend =>
  (request) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("timeout")), REQUEST_TIMEOUT_MS);
      send(request)
        .finally(() => clearTimeout(timer))
        .then(resolve, reject);
    });

export interface RequestsOptions {
  process: number;
  environment: string;
  judge: Judge;
  send: HttpSend;
  /** Of the process's assignment, now. */
  epoch(): object | undefined;
}

/** Sends the requests of one process to one environment, and has the judge see them and what comes of them. */
export function createRequests({ process, environment, judge, send, epoch }: RequestsOptions): HttpSend {
  const sendInTime = withTimeout(send);
  return (request) => {
    const key = request.headers["idempotency-key"];
    if (key === undefined) return sendInTime(request);
    const sentIn = epoch() ?? {};
    const ended = endOf(request, (response) => {
      // What was under way is forgotten with its epoch.
      if (epoch() === sentIn) {
        const body = request.body.toString();
        judge.onAnswer({ process, environment, key, body, response, epoch: sentIn });
      }
    });
    judge.onSend({ process, environment, key, body: request.body.toString(), epoch: sentIn });
    return sendInTime(request).then(
      (response) => {
        ended(response);
        return response;
      },
      (error: unknown) => {
        ended("failed");
        throw error;
      },
    );
  };
}

/** Only the first end of a request counts. Its sender goes on at once when it gives one up, before promises know of it. */
function endOf({ signal }: HttpRequest, tell: (end: Answer["response"]) => void) {
  let isOver = false;
  const ended = (end: Answer["response"]): void => {
    if (!isOver) tell(end);
    isOver = true;
  };
  signal.addEventListener("abort", () => ended("given up"));
  return ended;
}

import type { Backlog } from "./backlog.ts";
import type { Answer, EntryOutcome } from "./dialects/dialect.ts";
import type { Gate } from "./gate.ts";
import { finishEntries, finishPart, isSingle, type Part } from "./parts.ts";
import type { Flight, Throttle } from "./throttle.ts";
import type { IssuedToken, TokenSource } from "./token-source.ts";

export interface AnswerTableOptions {
  backlog: Backlog;
  gate: Gate;
  throttle: Throttle;
  tokens: TokenSource;
  /** Has the part sent again in pieces: halves, or by what was said of its entries. */
  split(part: Part, outcomes?: readonly EntryOutcome[]): void;
  /** Has the part sent again after its own backoff. */
  retryLater(part: Part): void;
  /** Milliseconds, monotonic. */
  now(): number;
}

/** What an environment's answers do to the part that was sent, and to its lane: the rows of the answer table. */
export function createAnswerTable(options: AnswerTableOptions) {
  const { backlog, gate, throttle, tokens, split, retryLater, now } = options;

  function reopen(by: Flight, { httpStatus }: Answer): void {
    // Entries may be refused without a request.
    if (httpStatus === null) return;
    const since = gate.closure()?.since ?? now();
    if (!gate.succeeded()) return;
    throttle.reopened(by, now() - since);
    // The backoff of those that wait was for an outage that is over.
    backlog.releaseDelayed();
  }

  /** Of many entries some may have been taken; of one, none was. An address that answers everything so is a wrong one. */
  function notTaken(part: Part): void {
    if (isSingle(part)) {
      gate.failed("short_answers");
      retryLater(part);
    } else {
      split(part);
    }
  }

  function applyEach(flight: Flight, answer: Answer, outcomes: readonly EntryOutcome[]): void {
    const { part } = flight;
    if (outcomes.length !== part.slice.entries.length || outcomes.every((outcome) => outcome === "retry")) {
      notTaken(part);
      return;
    }
    reopen(flight, answer);
    if (outcomes.every((outcome) => outcome === "taken")) {
      finishPart(part, answer, true);
    } else {
      split(part, outcomes);
      finishEntries(part, outcomes, answer);
    }
  }

  return function apply(flight: Flight, answer: Answer, token: IssuedToken): void {
    const { part } = flight;
    const { verdict } = answer;
    const why = { httpStatus: answer.httpStatus ?? undefined, detail: answer.detail };
    const isSecondUnauthorized = part.wasUnauthorized;
    part.wasUnauthorized = verdict.kind === "unauthorized";
    switch (verdict.kind) {
      case "acknowledged":
        reopen(flight, answer);
        finishPart(part, answer, true);
        break;
      case "refused":
        reopen(flight, answer);
        if (isSingle(part)) finishPart(part, answer, false);
        else split(part);
        break;
      case "entries":
        applyEach(flight, answer, verdict.outcomes);
        break;
      case "short":
        notTaken(part);
        break;
      case "unauthorized":
        tokens.invalidate(token);
        backlog.pushFront(part);
        if (isSecondUnauthorized) gate.close("unauthorized", why);
        break;
      case "misconfigured":
        backlog.pushFront(part);
        gate.close("misconfigured", why);
        break;
      case "unavailable":
        if (verdict.retryAfter === undefined) {
          gate.failed("unavailable");
          retryLater(part);
        } else {
          backlog.pushFront(part);
          gate.close("retry_after", { ...why, wait: verdict.retryAfter });
        }
    }
  };
}

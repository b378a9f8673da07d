import type { Backlog } from "./backlog.ts";
import type { Answer, EntryOutcome, Verdict } from "./dialects/dialect.ts";
import type { Gate, Why } from "./gate.ts";
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
  /** Has the part sent again after its own backoff. The status of its answer tells whether it was at fault. */
  retryLater(part: Part, httpStatus?: number | null): void;
  /** Milliseconds, monotonic. */
  now(): number;
}

/** Times that an entry may fail by itself before it counts as refused: beside others that were taken, and else. */
const SUSPECT_FAILURES = 3;
const UNEXPLAINED_FAILURES = 8;
/** Times that a request may fail as a whole before it is sent in halves. */
const FAILURES_TO_HALVE = 2;

const TOKEN_ACCEPTED: ReadonlySet<Verdict["kind"]> = new Set(["acknowledged", "entries", "short", "refused"]);

/** What an environment's answers do to the part that was sent, and to its lane: the rows of the answer table. */
export function createAnswerTable(options: AnswerTableOptions) {
  const { backlog, gate, throttle, tokens, split, retryLater, now } = options;
  /** Tokens in a row that weren't accepted. */
  let tokensRefused = 0;
  let lastRefused: IssuedToken | undefined;

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
    if (outcomes.length !== part.slice.entries.length) {
      notTaken(part);
    } else if (outcomes.every(({ kind }) => kind === "retry")) {
      allFailed(flight, answer, outcomes[0]);
    } else {
      reopen(flight, answer);
      if (outcomes.every(({ kind }) => kind === "taken")) {
        finishPart(part, answer, true);
      } else {
        split(part, outcomes);
        finishEntries(part, outcomes, answer);
      }
    }
  }

  /**
   * Every entry of a part failed, which may be the entries' fault or the environment's: the API doesn't tell. Beside others
   * that were taken it is theirs. Else the same is tried again, and many of that kind close the lane.
   */
  function allFailed({ part }: Flight, answer: Answer, outcome: EntryOutcome | undefined): void {
    part.failures++;
    if (!part.isSuspect) gate.failed("entries_failed");
    const patience = part.isSuspect ? SUSPECT_FAILURES : UNEXPLAINED_FAILURES;
    if (isSingle(part) && part.failures >= patience) {
      const detail = outcome?.kind === "retry" ? { detail: outcome.detail } : {};
      finishPart(part, { ...answer, ...detail }, false);
    } else if (!isSingle(part) && (part.isSuspect || part.failures >= FAILURES_TO_HALVE)) {
      split(part);
    } else {
      retryLater(part);
    }
  }

  /** A token that isn't accepted may have been revoked; if the next one isn't either, the credentials are at fault. */
  function tokenRefused(flight: Flight, token: IssuedToken, why: Why): void {
    if (token !== lastRefused) tokensRefused++;
    lastRefused = token;
    tokens.invalidate(token);
    backlog.pushFront(flight.part);
    if (tokensRefused > 1) gate.close("unauthorized", why);
  }

  return function apply(flight: Flight, answer: Answer, token: IssuedToken): void {
    const { part } = flight;
    const { verdict } = answer;
    const why = { httpStatus: answer.httpStatus ?? undefined, detail: answer.detail };
    if (TOKEN_ACCEPTED.has(verdict.kind)) tokensRefused = 0;
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
        tokenRefused(flight, token, why);
        break;
      case "misconfigured":
        backlog.pushFront(part);
        gate.close("misconfigured", why);
        break;
      case "unavailable":
        if (verdict.retryAfter === undefined) {
          gate.failed("unavailable");
          retryLater(part, answer.httpStatus);
        } else {
          backlog.pushFront(part);
          gate.close("retry_after", { ...why, wait: verdict.retryAfter });
        }
    }
  };
}

import type { AttemptOutcome } from "../delivery/lane.ts";
import { ATTEMPTS_WITHIN_S, type EnvironmentView, REQUESTS_WITHIN_S } from "./state-view.ts";

/** What one environment was asked lately, and what it answered. */
export interface Activity {
  /** A request counts against the quota from here on. */
  started(): void;
  ended(outcome: AttemptOutcome): void;
  view(): Pick<EnvironmentView, "requests" | "attempts">;
}

interface Second {
  at: number;
  started: number;
  ended: Map<AttemptOutcome, number>;
}

/** Counts by whole seconds, as many as are looked back at. `now`: milliseconds, monotonic. */
export function createActivity(now: () => number): Activity {
  const seconds: Second[] = [];

  const current = (): Second => {
    const at = Math.floor(now() / 1_000);
    const slot = at % ATTEMPTS_WITHIN_S;
    const known = seconds[slot];
    if (known?.at === at) return known;
    const fresh: Second = { at, started: 0, ended: new Map() };
    seconds[slot] = fresh;
    return fresh;
  };

  return {
    started() {
      current().started++;
    },
    ended(outcome) {
      const { ended } = current();
      ended.set(outcome, (ended.get(outcome) ?? 0) + 1);
    },
    view() {
      const { at } = current();
      const attempts: Partial<Record<AttemptOutcome, number>> = {};
      let requests = 0;
      for (const second of Object.values(seconds)) {
        const age = at - second.at;
        // The second that is under way isn't over: the whole ones before it make the window.
        if (age >= 1 && age <= REQUESTS_WITHIN_S) requests += second.started;
        if (age >= ATTEMPTS_WITHIN_S) continue;
        for (const [outcome, count] of second.ended) attempts[outcome] = (attempts[outcome] ?? 0) + count;
      }
      return { requests, attempts };
    },
  };
}

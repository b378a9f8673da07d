import { document } from "./dom.ts";
import type { State } from "./state.ts";

const POLL_MS = 1_000;
/** While nobody looks: the tab's title and icon still say how it is. */
const HIDDEN_POLL_MS = 15_000;
const MAX_BACKOFF_MS = 15_000;
/** An answer that takes longer is none; and what is shown is no longer called fresh then. */
const TIMEOUT_MS = 4_000;

export interface ConnectionHandlers {
  onState(state: State): void;
  /** What is shown is from `lastAt` (milliseconds since the epoch; undefined if nothing came yet), and may not hold any more. */
  onLost(lastAt: number | undefined): void;
}

/** Asks for the state each second, less often while nobody answers, and seldom while nobody looks. */
export function connect({ onState, onLost }: ConnectionHandlers): { refresh(): void } {
  let lastAt: number | undefined;
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let asking = false;

  const load = async (): Promise<State | undefined> => {
    try {
      const response = await fetch("/state", { signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (!response.ok) throw new Error(`status ${response.status}`);
      return (await response.json()) as State;
    } catch {
      return undefined;
    }
  };

  const isHidden = (): boolean => document.visibilityState === "hidden";

  const ask = async (): Promise<void> => {
    if (asking) return;
    clearTimeout(timer);
    asking = true;
    const state = await load();
    asking = false;
    failures = state === undefined ? failures + 1 : 0;
    const pause = Math.min(MAX_BACKOFF_MS, POLL_MS * 2 ** Math.max(0, failures - 1));
    timer = setTimeout(ask, isHidden() ? HIDDEN_POLL_MS : pause);
    if (state === undefined) {
      onLost(lastAt);
    } else {
      lastAt = Date.now();
      onState(state);
    }
  };

  // Also after a sleep of the machine, and for an answer that is long in coming. Not for what is old only since nobody looked:
  // the answer that is asked for on return says how it is, or that there is none.
  let shownSince = Date.now();
  setInterval(() => {
    if (lastAt === undefined || isHidden()) return;
    if (Date.now() - Math.max(lastAt, shownSince) > TIMEOUT_MS) onLost(lastAt);
  }, POLL_MS);
  document.addEventListener("visibilitychange", () => {
    if (isHidden()) return;
    failures = 0;
    shownSince = Date.now();
    void ask();
  });
  void ask();
  return { refresh: () => void ask() };
}

import { document } from "./dom.ts";
import type { State } from "./state.ts";

const POLL_MS = 1_000;
const MAX_BACKOFF_MS = 15_000;
/** An answer that takes longer is none; and what is shown is no longer called fresh then. */
const TIMEOUT_MS = 4_000;

export interface ConnectionHandlers {
  onState(state: State): void;
  /** What is shown is from `lastAt` (milliseconds since the epoch; undefined if nothing came yet), and may not hold any more. */
  onLost(lastAt: number | undefined): void;
}

/** Asks for the state each second, less often while nobody answers, and not at all while nobody looks. */
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

  const ask = async (): Promise<void> => {
    clearTimeout(timer);
    if (asking || document.visibilityState === "hidden") return;
    asking = true;
    const state = await load();
    asking = false;
    failures = state === undefined ? failures + 1 : 0;
    timer = setTimeout(ask, Math.min(MAX_BACKOFF_MS, POLL_MS * 2 ** Math.max(0, failures - 1)));
    if (state === undefined) {
      onLost(lastAt);
    } else {
      lastAt = Date.now();
      onState(state);
    }
  };

  // Also after a sleep of the machine, and for an answer that is long in coming.
  setInterval(() => {
    if (lastAt !== undefined && Date.now() - lastAt > TIMEOUT_MS) onLost(lastAt);
  }, POLL_MS);
  document.addEventListener("visibilitychange", () => {
    failures = 0;
    if (lastAt !== undefined && Date.now() - lastAt > TIMEOUT_MS) onLost(lastAt);
    void ask();
  });
  void ask();
  return { refresh: () => void ask() };
}

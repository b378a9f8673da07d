/**
 * - `warning`: the relay works, but not as well as it should, or not for ever.
 * - `failed`: something doesn't work, or opt-outs could be lost.
 * - `not_checked`: it couldn't be found out without changing something, or because of another failure.
 */
export type Result = "ok" | "warning" | "failed" | "not_checked";

/** What one check found. Names, here and in `Finding`, are stable: scripts read them from `check --json`. */
export interface Observation {
  /** What was looked at, in a word or two. */
  check: string;
  result: Result;
  /** In words for people, without a phone number or a secret. */
  detail: string;
  /** How to mend it; null if there is nothing to mend. */
  remedy: string | null;
}

export type Area =
  | "configuration"
  | "broker"
  | "cluster"
  | "topic"
  | "group"
  | "registry"
  | "subject"
  | "environment";

export interface Finding extends Observation {
  area: Area;
  /** Which one: an address, a topic, an environment. Empty if there is but one. */
  name: string;
}

export const ok = (check: string, detail: string): Observation => ({
  ...{ check, result: "ok", detail, remedy: null },
});
export const warning = (check: string, detail: string, remedy: string): Observation => ({
  ...{ check, result: "warning", detail, remedy },
});
export const failed = (check: string, detail: string, remedy: string): Observation => ({
  ...{ check, result: "failed", detail, remedy },
});
export const notChecked = (check: string, detail: string, remedy: string | null = null): Observation => ({
  ...{ check, result: "not_checked", detail, remedy },
});

/** The observations of one thing. */
export const about = (area: Area, name: string, observations: readonly Observation[]): Finding[] =>
  observations.map((observation) => ({ area, name, ...observation }));

/** An error whose message says what happened and what to do, as an observation: the last sentences are the remedy. */
export function failedBy(check: string, error: Error): Observation {
  const { happened, remedy } = splitRemedy(error.message);
  return failed(check, happened, remedy);
}

/** Sentences from the first that tells somebody to do something. */
const REMEDY = /(?<=[.:] )(?=(?:Check|Set|Use|Remove|Choose|Run|Bring|Grant|Add|If|Name)\b)/;

function splitRemedy(message: string): { happened: string; remedy: string } {
  const [happened = message, ...rest] = message.split(REMEDY);
  return { happened: happened.trim(), remedy: rest.join("").trim() || "Mend that, then check again." };
}

import { byId, createList, element, group, setClass, setHidden, setText, type View } from "./dom.ts";
import { clock, count, counted, words } from "./format.ts";
import { isBehind, isOut, longestWait, nextTry, unreadText, waitingText } from "./headline.ts";
import type { Pauser } from "./pausing.ts";
import type { EnvironmentView, State } from "./state.ts";

/** Of `REQUESTS_WITHIN_S`. */
const WINDOW_S = 10;

/** So many are seen at a glance. */
const MANY = 9;

const ATTEMPT_WORDS: Record<keyof EnvironmentView["attempts"], string> = {
  acknowledged: "acknowledged",
  entries: "taken in part",
  short: "short",
  refused: "refused",
  unauthorized: "unauthorized",
  misconfigured: "access refused",
  unavailable: "unavailable",
  error: "no answer",
};

interface Shown {
  environment: EnvironmentView;
  state: State;
}

export function createEnvironments(pauser: Pauser): (state: State) => void {
  const note = byId("pausing-note");
  const update = createList<Shown>(
    byId("environments"),
    ({ environment }) => environment.name,
    ({ environment }) => createCard(environment.name, pauser),
  );
  return (state) => {
    update(inOrder(state).map((environment) => ({ environment, state })));
    setText(note, noteOf(state.pausing));
  };
}

/** As configured; of many, those that take nothing first, and then those that are behind. */
function inOrder({ environments, now }: State): EnvironmentView[] {
  if (environments.length <= MANY) return environments;
  const rank = (each: EnvironmentView): number => (isOut(each, now) ? 0 : isBehind(each, now) ? 1 : 2);
  return [...environments].sort((one, other) => rank(one) - rank(other));
}

const noteOf = (pausing: State["pausing"]): string => {
  if (pausing.by === "token") return "Pausing takes the admin token.";
  return pausing.by === "nobody" ? `Pausing isn't possible from here: ${pausing.reason}.` : "";
};

/** A figure with what it counts below it. */
function figure(label: string) {
  const value = element("dd", "value", "–");
  return { root: group("div", "figure", element("dt", "", label), value), value };
}

function line(label: string) {
  const value = element("dd", "", "–");
  return { root: group("div", "line", element("dt", "", label), value), value };
}

function createCard(name: string, pauser: Pauser): View<Shown> {
  const badge = element("span", "badge");
  const button = element("button", "quiet");
  const status = element("p", "status");
  const [waiting, oldest] = [figure("people waiting"), figure("longest wait")];
  const [quota, underWay] = [line("quota"), line("under way")];
  const [queued, attempts] = [line("queued"), line("last minute")];
  const fill = element("span", "fill");
  const bar = group("div", "bar", fill);
  bar.setAttribute("aria-hidden", "true");
  quota.root.append(bar);
  const head = group("div", "card-head", element("h3", "", name), badge, button);
  const figures = group("dl", "figures", waiting.root, oldest.root);
  const lines = group("dl", "lines", quota.root, underWay.root, queued.root, attempts.root);
  let current: EnvironmentView | undefined;
  button.setAttribute("type", "button");
  button.addEventListener("click", () => current && pauser.ask(current));

  return {
    root: group("li", "card environment", head, status, figures, lines),
    update({ environment, state }) {
      const { now, pausing } = state;
      current = environment;
      setClass(badge, `badge ${levelOf(environment, now)}`);
      setText(badge, badgeText(environment, now));
      const isPaused = environment.closure?.reason === "paused";
      setHidden(button, pausing.by === "nobody");
      setText(button, isPaused ? "Resume" : "Pause");
      button.setAttribute("aria-label", `${isPaused ? "Resume" : "Pause"} ${name}`);
      setText(
        status,
        `${statusOf(environment, now)}${environment.closure === null ? "" : unreadText(state)}`,
      );
      setText(waiting.value, waitingText(environment, state));
      setText(oldest.value, longestWait(environment, state));
      setText(quota.value, quotaText(environment));
      const share = environment.requests / Math.max(1, environment.quotaShare * WINDOW_S);
      fill.style.setProperty("--share", `${Math.min(100, Math.round(share * 100))}%`);
      const { inFlight, concurrencyLimit } = environment;
      setText(underWay.value, `${count(inFlight)} of ${counted(concurrencyLimit, "request")}`);
      setText(queued.value, queuedText(environment));
      setText(attempts.value, attemptsText(environment));
    },
  };
}

export function levelOf(environment: EnvironmentView, now: string): string {
  const { closure } = environment;
  if (closure?.reason === "paused") return "paused";
  if (closure !== null) return isOut(environment, now) ? "out" : "watch";
  return isBehind(environment, now) ? "watch" : "well";
}

const badgeText = (environment: EnvironmentView, now: string): string => {
  if (environment.closure?.reason === "paused") return "paused";
  if (environment.closure !== null) return isOut(environment, now) ? "closed" : "closed for a moment";
  return isBehind(environment, now) ? "behind" : "open";
};

function statusOf({ closure }: EnvironmentView, now: string): string {
  if (closure === null) return "takes opt-outs";
  const since = `${words(closure.reason)} since ${clock(closure.since, now)}`;
  return closure.until === null ? since : `${since}, next try ${nextTry(closure.until, now)}`;
}

function quotaText({ requests, quotaShare, requestsPerSecond }: EnvironmentView): string {
  if (quotaShare === 0) return "no share of it: no partition here";
  const used = `${count(requests)} of ${count(Math.round(quotaShare * WINDOW_S))} requests in ${WINDOW_S} s`;
  const isSlowed = requestsPerSecond < quotaShare * 0.95;
  return isSlowed ? `${used}, slowed down to ${count(requestsPerSecond)}/s` : used;
}

function queuedText({ queued, waitingForRetry }: EnvironmentView): string {
  return waitingForRetry === 0
    ? count(queued)
    : `${count(queued)}, and ${count(waitingForRetry)} to be retried`;
}

function attemptsText({ attempts }: EnvironmentView): string {
  const shown = Object.entries(ATTEMPT_WORDS).flatMap(([outcome, word]) => {
    const times = attempts[outcome as keyof typeof attempts] ?? 0;
    return times === 0 ? [] : [`${count(times)} ${word}`];
  });
  return shown.length === 0 ? "no requests" : shown.join(", ");
}

import { connect } from "./connection.ts";
import { byId, document, location, setAttribute, setClass, setHidden, setText } from "./dom.ts";
import { createEnvironments } from "./environments.ts";
import { clock } from "./format.ts";
import { headlineOf, type Level } from "./headline.ts";
import { createOutcomes } from "./outcomes.ts";
import { createPartitions } from "./partitions.ts";
import { createPauser } from "./pausing.ts";
import { createProblems } from "./problems.ts";
import { createStandstills } from "./reading.ts";
import { createReplica } from "./replica.ts";
import type { State } from "./state.ts";

const NAME = "Optout Relay";
/** In the tab, for those who have many: a disc, a ring, a square or a dash, so that it isn't colour alone. */
const ICONS: Record<Level | "lost", string> = {
  well: "%3Ccircle cx='8' cy='8' r='6' fill='%231d7a8c'/%3E",
  watch: "%3Ccircle cx='8' cy='8' r='5' fill='none' stroke='%23b26a00' stroke-width='4'/%3E",
  out: "%3Crect x='1' y='1' width='14' height='14' fill='%23b3381e'/%3E",
  lost: "%3Crect x='1' y='6' width='14' height='4' fill='%23808a94'/%3E",
};

const pauser = createPauser(() => connection.refresh());
const parts = [createEnvironments(pauser), createPartitions(), createOutcomes(), createReplica()];
const showProblems = createProblems();
const standstillsOf = createStandstills();
let version: string | undefined;

const showLevel = (level: Level | "lost"): void => {
  setClass(byId("headline"), `headline ${level}`);
  const icon = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>`.replaceAll("<", "%3C");
  setAttribute(
    byId("icon"),
    "href",
    `data:image/svg+xml,${icon.replaceAll(">", "%3E")}${ICONS[level]}%3C/svg%3E`,
  );
};

const setStale = (isStale: boolean): void => {
  setClass(byId("content"), isStale ? "stale" : "");
  setClass(byId("connection"), isStale ? "connection lost" : "connection");
  setAttribute(byId("content"), "aria-busy", String(isStale));
  setHidden(byId("loading"), true);
};

const show = (state: State): void => {
  version ??= state.version;
  // Another relay took its place: this page may not fit it.
  if (state.version !== version) {
    location.reload();
    return;
  }
  const headline = headlineOf(state, standstillsOf(state));
  setStale(false);
  showLevel(headline.level);
  setText(byId("headline-text"), headline.text);
  setText(byId("headline-detail"), headline.detail);
  showProblems(headline.problems, headline.text);
  setText(byId("connection"), `live, ${clock(state.now, state.now)}`);
  document.title = headline.level === "well" ? NAME : `${headline.text} – ${NAME}`;
  pauser.update(state.pausing);
  for (const update of parts) update(state);
  setHidden(byId("content"), false);
};

const showLost = (lastAt: number | undefined): void => {
  setStale(true);
  showLevel("lost");
  const since = lastAt === undefined ? "" : ` since ${clock(lastAt, Date.now())}`;
  setText(byId("headline-text"), `No connection to the relay${since}`);
  setText(
    byId("headline-detail"),
    lastAt === undefined
      ? "It is tried again and again."
      : "What is below was so then, and may be otherwise now. The relay is tried again and again; if other replicas run, they have taken over its partitions.",
  );
  showProblems([], "");
  setText(byId("connection"), "no connection");
  document.title = `No connection – ${NAME}`;
};

const connection = connect({ onState: show, onLost: showLost });

import { byId, location, type PageDialog, type PageInput, setHidden, setText, tabStorage } from "./dom.ts";
import { people } from "./format.ts";
import type { EnvironmentView, State } from "./state.ts";

/** Asks the reader whether they mean it, and for the token if it takes one; then pauses or resumes an environment. */
export interface Pauser {
  ask(environment: EnvironmentView): void;
  /** What the relay says now of who may. */
  update(pausing: State["pausing"]): void;
}

/** Kept until the tab is closed, and nowhere else. */
const TOKEN_KEY = "optout-admin-token";

export function createPauser(onDone: () => void): Pauser {
  const dialog = byId("confirm") as PageDialog;
  const token = byId("token") as PageInput;
  const problem = byId("confirm-problem");
  const confirm = byId("confirm-do");
  let takesToken = false;
  let pending: { name: string; action: "pause" | "resume" } | undefined;

  const show = (environment: EnvironmentView): void => {
    const { name, waiting, closure } = environment;
    const action = closure?.reason === "paused" ? "resume" : "pause";
    pending = { name, action };
    setText(byId("confirm-title"), action === "pause" ? `Pause ${name}?` : `Resume ${name}?`);
    setText(byId("confirm-text"), explain(action, waiting));
    setText(confirm, action === "pause" ? `Pause ${name}` : `Resume ${name}`);
    token.value = tabStorage.get(TOKEN_KEY) ?? "";
    confirm.disabled = false;
    setHidden(byId("token-field"), !takesToken);
    setHidden(problem, true);
    dialog.showModal();
    if (takesToken && token.value === "") token.focus();
  };

  const say = (text: string): void => {
    setText(problem, text);
    setHidden(problem, false);
  };

  const send = async (): Promise<void> => {
    if (pending === undefined || confirm.disabled) return;
    // Until the answer is there, the dialog may have been closed, and opened again for another environment.
    const asked = pending;
    const used = takesToken ? token.value : undefined;
    confirm.disabled = true;
    const answer = await post(asked.name, asked.action, used);
    if (answer.ok && used !== undefined) tabStorage.set(TOKEN_KEY, used);
    if (!answer.ok && answer.isTokenRefused && tabStorage.get(TOKEN_KEY) === used) {
      tabStorage.remove(TOKEN_KEY);
    }
    if (answer.ok) onDone();
    if (pending !== asked) return;
    confirm.disabled = false;
    if (answer.ok) {
      dialog.close();
      return;
    }
    say(answer.problem);
    if (answer.isTokenRefused) {
      token.value = "";
      token.focus();
    }
  };

  byId("confirm-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void send();
  });
  byId("confirm-cancel").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    pending = undefined;
    token.value = "";
  });

  return {
    ask: show,
    update(pausing) {
      takesToken = pausing.by === "token";
    },
  };
}

function explain(action: "pause" | "resume", waiting: number): string {
  const others = `This is for the replica at ${location.host} only`;
  if (action === "resume") {
    return `Its opt-outs are sent again, those of ${people(waiting)} who wait first. ${others}.`;
  }
  return `Nothing more is sent to it, and its opt-outs wait, until it is resumed or this replica ends. ${others}: others go on, unless each is paused too.`;
}

type PostAnswer = { ok: true } | { ok: false; problem: string; isTokenRefused: boolean };

async function post(name: string, action: string, token: string | undefined): Promise<PostAnswer> {
  try {
    const response = await fetch(`/environments/${encodeURIComponent(name)}/${action}`, {
      method: "POST",
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(10_000),
    });
    if (response.ok) return { ok: true };
    if (response.status === 401) {
      return { ok: false, problem: "The relay doesn't accept this token.", isTokenRefused: true };
    }
    const { message } = (await response.json()) as { message?: string };
    return { ok: false, problem: `The relay refused: ${message ?? response.status}.`, isTokenRefused: false };
  } catch {
    const problem = "No answer from the relay, so it isn't known whether it was done. Try again.";
    return { ok: false, problem, isTokenRefused: false };
  }
}

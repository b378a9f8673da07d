import { CLOSED_MESSAGES } from "../delivery/circuit.ts";
import type { ClosureView } from "../relay/state-view.ts";

type Reason = ClosureView["reason"];
type Advice = Pick<ClosureView, "message" | "advice" | "runbook">;

/** What to do, in the words of somebody who was just woken up, and where docs/runbook.md says more. */
const ADVICE: Record<Reason, readonly [advice: string, runbook: string]> = {
  unavailable: [
    "Nothing to do at the relay: it goes on by itself within seconds of the environment's coming back. Call the environment's operators if they don't know. Don't restart the relay.",
    "OptoutEnvironmentUnavailable",
  ],
  token_unavailable: [
    "Nothing to do at the relay: it goes on by itself once there are tokens again. Call the environment's operators if they don't know. Don't restart the relay.",
    "OptoutEnvironmentUnavailable",
  ],
  retry_after: [
    "Nothing to do for now: it goes on at the time that the environment named. If it comes again and again, lower requestsPerSecond to the environment's real quota.",
    "OptoutEnvironmentUnavailable",
  ],
  credentials_refused: [
    "Run optout-relay check. Replace the secret's file if it was rotated, or have the scope given back; the relay takes up a new file by itself.",
    "OptoutEnvironmentRefusesAccess",
  ],
  unauthorized: [
    "Run optout-relay check. See whether the token server and baseUrl belong to the same environment.",
    "OptoutEnvironmentRefusesAccess",
  ],
  misconfigured: [
    "Run optout-relay check. Have the scope or permission given back, or mend the configuration and restart.",
    "OptoutEnvironmentRefusesAccess",
  ],
  short_answers: [
    "See whether a proxy or a login page answers in the environment's place. All is sent again when that is mended; don't redrive.",
    "OptoutEnvironmentTakesNoEntries",
  ],
  entries_failed: [
    "See whether the list is active, full, or locked by an import. All is sent again when that is mended; don't redrive.",
    "OptoutEnvironmentTakesNoEntries",
  ],
  paused: [
    "Ask who paused it and why. Resume it when that is over; its opt-outs are sent then.",
    "OptoutEnvironmentPaused",
  ],
};

const PAUSED =
  "somebody paused it at this replica; nothing is sent to it until it is resumed or the replica ends";

export function adviceOn(reason: Reason): Advice {
  const [advice, runbook] = ADVICE[reason];
  const message = reason === "paused" ? PAUSED : CLOSED_MESSAGES[reason].replace(/^lane closed: /, "");
  return { message: `${message.charAt(0).toUpperCase()}${message.slice(1)}.`, advice, runbook };
}

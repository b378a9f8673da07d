import { byId, location, setText } from "./dom.ts";
import { age, between, clock, count } from "./format.ts";
import type { State } from "./state.ts";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Which process this page is about, and how it is. */
export function createReplica(): (state: State) => void {
  return ({
    version,
    phase,
    startedAt,
    now,
    live,
    ready,
    topic,
    groupId,
    partitions,
    partitionsNotShown,
  }) => {
    setText(byId("where"), `${topic} at ${location.host}`);
    setText(byId("version"), version);
    setText(byId("phase"), phase);
    setText(byId("uptime"), `${age(between(startedAt, now))}, since ${clock(startedAt, now)}`);
    setText(byId("live"), live.ok ? "yes" : `no: ${live.reason}`);
    setText(byId("ready"), ready.ok ? "yes" : `no: ${ready.reason}`);
    setText(byId("group"), groupId);
    setText(byId("owned"), count(partitions.length + partitionsNotShown));
    setText(byId("zone"), zone);
  };
}

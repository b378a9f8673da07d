import type { Environment } from "../delivery/environment.ts";
import type { LaneState } from "../delivery/lane.ts";
import type { Assignment } from "./assignment.ts";
import type { Slot } from "./slot.ts";

/** Where everything stands, for people: what `/state` shows. Without a phone, key, secret or URL. */
export interface RelayState {
  phase: Assignment["phase"] | "starting" | "draining" | "stopped";
  partitions: {
    partition: number;
    committedOffset: number;
    position: number;
    sealedBatches: number;
    pendingEvents: number;
    ledgerUsedRatio: number;
    paused: boolean;
  }[];
  environments: ({ name: string; closure: ClosureView | null } & Omit<LaneState, "closure">)[];
}

/** Why a lane is closed, since when (RFC 3339), and when it is tried again: null if an operator has to resume it. */
export interface ClosureView {
  reason: string;
  since: string;
  until: string | null;
}

export const relayState = (
  phase: RelayState["phase"],
  slots: Iterable<Slot>,
  environments: readonly Environment[],
): RelayState => ({
  phase,
  partitions: [...slots].map(({ partition, paused }) => ({
    partition: partition.number,
    committedOffset: partition.committedOffset,
    position: partition.position,
    sealedBatches: partition.sealed.length,
    pendingEvents: partition.pendingEvents,
    ledgerUsedRatio: partition.ledgerUsedRatio,
    paused,
  })),
  environments: environments.map(({ lane }) => {
    const state = lane.state();
    return { name: lane.name, ...state, closure: state.closure && closureView(state.closure) };
  }),
});

const closureView = ({ reason, since, until }: NonNullable<LaneState["closure"]>): ClosureView => ({
  reason,
  since: rfc3339(since),
  until: until === null ? null : rfc3339(until),
});

const rfc3339 = (milliseconds: number): string => new Date(milliseconds).toISOString();

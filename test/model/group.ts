import { createErrorFromCode, errorCodes } from "kafkajs/src/protocol/error.js";
import type { Outcome } from "./wire.ts";

/** An error as a broker gives it, by its name in the protocol. */
export function brokerError(type: string): Error {
  const code = errorCodes.find((each) => each.type === type)?.code;
  if (code === undefined) throw new Error(`Kafka has no error ${type}`);
  return createErrorFromCode(code);
}

export interface JoinAnswer {
  generationId: number;
  leaderId: string;
  memberId: string;
  members: { memberId: string; memberMetadata: Buffer }[];
  groupProtocol: string;
}

interface Member {
  id: string;
  /** Whose it is. */
  process: number;
  sessionTimeout: number;
  rebalanceTimeout: number;
  metadata: Buffer;
  lastSeen: number;
  joining: ((outcome: Outcome<JoinAnswer>) => void) | undefined;
  syncing: ((outcome: Outcome<Buffer>) => void) | undefined;
  assignment: Buffer;
}

export interface JoinRequest {
  process: number;
  memberId: string;
  sessionTimeout: number;
  rebalanceTimeout: number;
  metadata: Buffer;
  protocol: string;
}

/** Who a member says it is. */
export interface Credentials {
  memberId: string;
  generation: number;
}

/**
 * Kafka's group coordinator, as `GroupCoordinator` and `GroupMetadata` of Apache Kafka have it for the classic protocol:
 *
 *   stable ── a member joins, leaves or isn't heard of ──► preparing ── all have joined, or time is up ──► completing
 *      ▲                                                                                                      │
 *      └──────────────────────────── the leader's assignment is there ◄───────────────────────────────────────┘
 */
export interface Group {
  join(request: JoinRequest, answer: (outcome: Outcome<JoinAnswer>) => void): void;
  sync(
    who: Credentials,
    assignments: readonly { memberId: string; memberAssignment: Buffer }[],
    answer: (outcome: Outcome<Buffer>) => void,
  ): void;
  /** Undefined if the member is known, and its generation in force. */
  heartbeat(who: Credentials): Error | undefined;
  leave(memberId: string): Error | undefined;
  /** Whether a commit would be taken, and then a sign of life. */
  admitCommit(who: Credentials): Error | undefined;
  /** Time has passed: members that weren't heard of are out. */
  tick(): void;
  /** Makes all members join again. */
  rebalance(): void;
  /** Members and their assignments in the present generation, as long as they hold: whoever joins gives up what it had. */
  owners(): { process: number; memberId: string; assignment: Buffer }[];
  readonly generation: number;
}

export function createGroup(now: () => number): Group {
  const members = new Map<string, Member>();
  let phase: "empty" | "preparing" | "completing" | "stable" = "empty";
  let generation = 0;
  let leader: string | undefined;
  let protocol = "";
  let joinUntil = Number.POSITIVE_INFINITY;
  let joined = 0;

  const seen = (member: Member): void => {
    member.lastSeen = now();
  };

  const prepare = (): void => {
    for (const member of members.values()) {
      member.syncing?.({ error: brokerError("REBALANCE_IN_PROGRESS") });
      member.syncing = undefined;
    }
    if (phase !== "preparing") {
      joinUntil =
        now() + Math.max(0, ...[...members.values()].map(({ rebalanceTimeout }) => rebalanceTimeout));
    }
    phase = "preparing";
    completeIfAllJoined();
  };

  const completeIfAllJoined = (): void => {
    const all = [...members.values()];
    if (phase === "preparing" && all.every(({ joining }) => joining !== undefined)) complete();
  };

  const complete = (): void => {
    for (const [id, { joining }] of [...members]) if (joining === undefined) members.delete(id);
    joinUntil = Number.POSITIVE_INFINITY;
    generation++;
    if (members.size === 0) {
      phase = "empty";
      leader = undefined;
      return;
    }
    phase = "completing";
    leader = leader !== undefined && members.has(leader) ? leader : [...members.keys()][0];
    for (const member of members.values()) {
      seen(member);
      member.assignment = Buffer.alloc(0);
      member.joining?.({ value: joinAnswer(member) });
      member.joining = undefined;
    }
  };

  const joinAnswer = ({ id }: Member): JoinAnswer => ({
    generationId: generation,
    leaderId: leader ?? "",
    memberId: id,
    members:
      id === leader
        ? [...members.values()].map((each) => ({ memberId: each.id, memberMetadata: each.metadata }))
        : [],
    groupProtocol: protocol,
  });

  const remove = (member: Member): void => {
    members.delete(member.id);
    member.joining?.({ error: brokerError("UNKNOWN_MEMBER_ID") });
    member.syncing?.({ error: brokerError("UNKNOWN_MEMBER_ID") });
    if (phase === "stable" || phase === "completing") prepare();
    else completeIfAllJoined();
  };

  /** The member, or what is wrong with its credentials. */
  const check = ({ memberId, generation: claimed }: Credentials): Member | Error => {
    const member = members.get(memberId);
    if (member === undefined) return brokerError("UNKNOWN_MEMBER_ID");
    return claimed === generation ? member : brokerError("ILLEGAL_GENERATION");
  };

  return {
    get generation() {
      return generation;
    },
    join({ memberId, protocol: name, ...rest }, answer) {
      let member = members.get(memberId);
      if (member === undefined && memberId !== "") {
        answer({ error: brokerError("UNKNOWN_MEMBER_ID") });
        return;
      }
      protocol = name;
      const isNew = member === undefined;
      member ??= {
        ...{ ...rest, id: `member-${++joined}`, lastSeen: now(), assignment: Buffer.alloc(0) },
        ...{ joining: undefined, syncing: undefined },
      };
      members.set(member.id, member);
      // Of a member that is known, only the leader can have the group assigned anew.
      const isNothingNew = phase === "stable" && member.id !== leader;
      const isRepeated = phase === "completing" && !isNew;
      if (!isNew && (isNothingNew || isRepeated)) {
        seen(member);
        answer({ value: joinAnswer(member) });
        return;
      }
      member.joining = answer;
      prepare();
    },
    sync(who, assignments, answer) {
      const member = check(who);
      if (member instanceof Error) answer({ error: member });
      else if (phase === "preparing") answer({ error: brokerError("REBALANCE_IN_PROGRESS") });
      else if (phase === "stable") {
        seen(member);
        answer({ value: member.assignment });
      } else {
        seen(member);
        member.syncing = answer;
        if (member.id !== leader) return;
        for (const { memberId, memberAssignment } of assignments) {
          const assigned = members.get(memberId);
          if (assigned !== undefined) assigned.assignment = memberAssignment;
        }
        phase = "stable";
        for (const each of members.values()) {
          each.syncing?.({ value: each.assignment });
          each.syncing = undefined;
        }
      }
    },
    heartbeat(who) {
      const member = check(who);
      if (member instanceof Error) return member;
      seen(member);
      return phase === "preparing" ? brokerError("REBALANCE_IN_PROGRESS") : undefined;
    },
    leave(memberId) {
      const member = members.get(memberId);
      if (member === undefined) return brokerError("UNKNOWN_MEMBER_ID");
      remove(member);
      return undefined;
    },
    admitCommit(who) {
      const member = check(who);
      if (member instanceof Error) return member;
      if (phase === "completing") return brokerError("REBALANCE_IN_PROGRESS");
      seen(member);
      return undefined;
    },
    tick() {
      for (const member of [...members.values()]) {
        const isWaiting = member.joining !== undefined || member.syncing !== undefined;
        if (!isWaiting && now() - member.lastSeen > member.sessionTimeout) remove(member);
      }
      if (phase === "preparing" && now() >= joinUntil) complete();
    },
    rebalance() {
      if (phase === "stable") prepare();
    },
    owners: () =>
      phase === "completing"
        ? []
        : [...members.values()]
            .filter(({ joining }) => joining === undefined)
            .map(({ process, id, assignment }) => ({ process, memberId: id, assignment })),
  };
}

import { decodeLedger, MAX_LEDGER_CHARS } from "../batching/ledger.ts";
import type { Commit } from "../kafka/broker-link.ts";
import type { GroupView } from "../kafka/questions.ts";
import { failed, notChecked, type Observation, ok, warning } from "./finding.ts";

export interface GroupFacts {
  groupId: string;
  eventsTopic: string;
  view: GroupView;
  /** Of the events topic; undefined if they can't be read. */
  commits: readonly Commit[] | undefined;
  /** Names. */
  environments: readonly string[];
}

const GROUP_UNAUTHORIZED = 30;
/** What kafkajs calls the only way of assigning partitions that the relay offers. */
const ASSIGNER = "RoundRobinAssigner";

/** All that is to be said of the consumer group. Pure. */
export function judgeGroup(facts: GroupFacts): Observation[] {
  const { groupId, view } = facts;
  if (view.errorCode === GROUP_UNAUTHORIZED) return [noAccess(groupId)];
  if (view.errorCode !== 0) {
    const detail = `Kafka answers with error ${view.errorCode} when asked for the group`;
    return [failed("access", detail, "Look into the brokers' logs.")];
  }
  return [access(groupId, view), members(facts), commits(facts)];
}

export const noAccess = (groupId: string): Observation =>
  failed(
    "access",
    "Kafka doesn't let this user join the group",
    `Grant this user READ on the consumer group ${groupId} (an ACL of the brokers).`,
  );

function access(groupId: string, { allowed }: GroupView): Observation {
  if (allowed === undefined) return notChecked("access", "the brokers don't say what this user may do");
  return allowed.has("READ") ? ok("access", "READ") : noAccess(groupId);
}

function members({ eventsTopic, view }: GroupFacts): Observation {
  const { state, protocolType, protocol } = view;
  const remedy =
    "Choose another kafka.groupId; an application that shares it takes partitions from the relay.";
  const others = view.members.filter(({ topics }) => topics !== undefined && !topics.includes(eventsTopic));
  if (protocolType !== "" && protocolType !== "consumer") {
    return failed("members", `the group belongs to something else (${protocolType})`, remedy);
  }
  if (others.length > 0) {
    const names = [...new Set(others.map(({ clientId }) => clientId))].slice(0, 5).join(", ");
    return failed(
      "members",
      `${others.length} that don't read ${eventsTopic} (client ids: ${names})`,
      remedy,
    );
  }
  if (view.members.length > 0 && protocol !== "" && protocol !== ASSIGNER) {
    return failed("members", `they share partitions by "${protocol}", as no relay does`, remedy);
  }
  if (view.members.length === 0) return ok("members", "none: no relay runs");
  return ok("members", `${view.members.length} (${state})`);
}

function commits({ commits: all, environments, eventsTopic }: GroupFacts): Observation {
  if (all === undefined) return notChecked("commits", "the committed offsets couldn't be read");
  const damaged = all.filter(
    ({ offset, metadata }) => metadata !== "" && !decodeLedger(offset, metadata, environments).ok,
  );
  if (damaged.length > 0) {
    const where = damaged.map(({ partition }) => partition).slice(0, 10);
    return warning(
      "commits",
      `${damaged.length} partitions of ${eventsTopic} (${where.join(", ")}) carry metadata that isn't a ledger: what was ` +
        "acknowledged there is unknown, and pending batches are cut anew",
      "If another application committed for this group, choose another kafka.groupId. Else the relay mends it with its next commit.",
    );
  }
  return ok(
    "commits",
    all.length === 0 ? "none: the relay begins with the oldest event" : `${all.length} partitions`,
  );
}

/** What a broker's settings have to allow. `sessionTimeout` in milliseconds. */
export function judgeBrokerSettings(
  all: ReadonlyMap<string, ReadonlyMap<string, string>>,
  sessionTimeout: number,
): Observation[] {
  const values = (name: string): { address: string; value: number }[] =>
    [...all].flatMap(([address, settings]) => {
      const text = settings.get(name);
      return text === undefined || !/^\d+$/.test(text) ? [] : [{ address, value: Number(text) }];
    });
  return [commitMetadata(values("offset.metadata.max.bytes")), sessions(values, sessionTimeout)];
}

type Setting = { address: string; value: number };

function commitMetadata(limits: readonly Setting[]): Observation {
  const tight = limits.filter(({ value }) => value < MAX_LEDGER_CHARS);
  const [first] = tight;
  if (limits.length === 0)
    return notChecked("commit metadata", "no broker tells its offset.metadata.max.bytes", TELL);
  if (first === undefined)
    return ok("commit metadata", `${Math.min(...limits.map(({ value }) => value))} bytes`);
  return failed(
    "commit metadata",
    `offset.metadata.max.bytes is ${first.value} on ${tight.map(({ address }) => address).join(", ")}: ` +
      "the ledger couldn't be committed, and the relay would deliver nothing once it is larger",
    `Set offset.metadata.max.bytes of every broker to ${MAX_LEDGER_CHARS} (Kafka's default) or more.`,
  );
}

const TELL = "Grant this user DESCRIBE_CONFIGS on the cluster, at least for this check.";

function sessions(values: (name: string) => Setting[], sessionTimeout: number): Observation {
  const [least, most] = [values("group.min.session.timeout.ms"), values("group.max.session.timeout.ms")];
  if (least.length === 0 && most.length === 0) {
    return notChecked("session timeout", "no broker tells its bounds", TELL);
  }
  const low = Math.max(0, ...least.map(({ value }) => value));
  const high = Math.min(Number.POSITIVE_INFINITY, ...most.map(({ value }) => value));
  if (sessionTimeout >= low && sessionTimeout <= high) return ok("session timeout", `${sessionTimeout} ms`);
  return failed(
    "session timeout",
    `kafka.sessionTimeout is ${sessionTimeout} ms, and the brokers take ${low} to ${high} ms: the relay can't join its group`,
    `Set kafka.sessionTimeout to ${sessionTimeout < low ? `${low}ms or more` : `${high}ms or less`}.`,
  );
}

import {
  type Operation,
  TOPIC_UNAUTHORIZED,
  TOPIC_UNKNOWN,
  TOPIC_WITHOUT_LEADER,
  type TopicView,
} from "../kafka/questions.ts";
import type { TopicRole } from "../kafka/topics.ts";
import { failed, notChecked, type Observation, ok, warning } from "./finding.ts";

export interface TopicFacts {
  role: TopicRole;
  name: string;
  /** Undefined if the brokers say nothing of it. */
  view: TopicView | undefined;
  /** Its settings by name, or why they can't be read. */
  settings: ReadonlyMap<string, string> | Error;
  /** The events topic's, for the dead letters. */
  eventsSettings: ReadonlyMap<string, string> | Error;
  /** How many brokers the cluster has. */
  brokers: number;
}

const HOUR_MS = 60 * 60 * 1_000;
const DAY_MS = 24 * HOUR_MS;
/** A record's headers and framing, as far as dead letters add to them. */
const DEAD_LETTER_OVERHEAD = 4 * 1024;

/** All that is to be said of one topic. Pure. */
export function judgeTopic(facts: TopicFacts): Observation[] {
  const { role, name, view } = facts;
  const absence = absenceOf(name, role, view);
  if (absence !== undefined || view === undefined) return absence === undefined ? [] : [absence];
  return [
    access(role, name, view),
    partitions(role, view),
    replicas(facts, view),
    ...(facts.settings instanceof Error
      ? [unreadable(name, facts.settings)]
      : [cleanup(role, facts.settings), retention(role, facts.settings), ...messageSize(facts)]),
  ];
}

function absenceOf(name: string, role: TopicRole, view: TopicView | undefined): Observation | undefined {
  const code = view?.errorCode ?? TOPIC_UNKNOWN;
  if (code === 0 || code === TOPIC_WITHOUT_LEADER) return undefined;
  if (code === TOPIC_UNKNOWN) {
    return failed(
      "exists",
      "the cluster has no such topic",
      `Run \`optout-relay topics\` to create what is missing, or correct topics.${role}.`,
    );
  }
  if (code === TOPIC_UNAUTHORIZED) {
    const [needed = "READ"] = NEEDED[role];
    return failed("access", "Kafka doesn't let this user see the topic", grant([needed], name));
  }
  return failed("exists", `Kafka answers with error ${code}`, "Look into the brokers' logs.");
}

/** What the relay can't do without; then what other commands need. */
const NEEDED: Record<TopicRole, readonly Operation[]> = {
  events: ["READ"],
  status: ["WRITE"],
  deadLetter: ["WRITE"],
};
const USEFUL: Record<TopicRole, { operation: Operation; commands: string }> = {
  events: { operation: "WRITE", commands: "`gateway` and `redrive`" },
  status: { operation: "READ", commands: "`trace`, `evidence` and `redrive`" },
  deadLetter: { operation: "READ", commands: "`redrive`" },
};

const grant = (operations: readonly Operation[], name: string): string =>
  `Grant this user ${operations.join(" and ")} on the topic ${name} (an ACL of the brokers).`;

function access(role: TopicRole, name: string, { allowed }: TopicView): Observation {
  if (allowed === undefined) return notChecked("access", "the brokers don't say what this user may do");
  const missing = NEEDED[role].filter((operation) => !allowed.has(operation));
  if (missing.length > 0) {
    return failed("access", `the relay's user lacks ${missing.join(" and ")}`, grant(missing, name));
  }
  const { operation, commands } = USEFUL[role];
  if (!allowed.has(operation)) {
    const detail = `enough for the relay; without ${operation}, ${commands} can't run as this user`;
    return warning("access", detail, `${grant([operation], name)} Or run them as another user.`);
  }
  return ok("access", "READ and WRITE");
}

function partitions(role: TopicRole, { partitions: all }: TopicView): Observation {
  const leaderless = all.filter(({ leader }) => leader < 0).map(({ partition }) => partition);
  if (leaderless.length > 0) {
    return failed(
      "partitions",
      `no leader for ${leaderless.length} of ${all.length} (${leaderless.slice(0, 10).join(", ")})`,
      "Bring back the brokers that hold them.",
    );
  }
  if (role === "events" && all.length === 1) {
    return warning(
      "partitions",
      "1: only one replica of the relay can work, any other waits",
      "Add partitions while the topic is small: 6 serve most. `optout-relay topics --partitions` does so for new topics.",
    );
  }
  return ok("partitions", `${all.length}`);
}

function replicas({ settings, brokers, role }: TopicFacts, { partitions: all }: TopicView): Observation {
  const factor = Math.min(...all.map((partition) => partition.replicas.length));
  const inSync = Math.min(...all.map((partition) => partition.inSync.length));
  const behind = all.filter((partition) => partition.inSync.length < partition.replicas.length).length;
  const minimum = settings instanceof Error ? undefined : numberOf(settings, "min.insync.replicas");
  const says = `${factor}${minimum === undefined ? "" : `, of which ${minimum} must have a record before it counts`}`;
  const setting = "min.insync.replicas";
  if (minimum !== undefined && factor < minimum) {
    return failed("replicas", `${says}: no record can ever be written`, `Lower ${setting}, or add replicas.`);
  }
  if (minimum !== undefined && inSync < minimum) {
    const detail = `${says}; only ${inSync} in sync: nothing can be written to some partition now`;
    return failed("replicas", detail, "Bring back the brokers that are behind or away.");
  }
  if (behind > 0) {
    const detail = `${says}; ${behind} of ${all.length} partitions lack one`;
    return warning("replicas", detail, "Bring back the brokers that are behind or away.");
  }
  if (factor === 1 && brokers > 1) {
    const lost =
      role === "events" ? "opt-outs" : role === "status" ? "the proof of delivery" : "dead letters";
    const detail = `1, though the cluster has ${brokers} brokers: a lost disk loses ${lost}`;
    return warning("replicas", detail, "Reassign its partitions to 3 brokers, or all there are.");
  }
  if (minimum === factor && factor > 1) {
    const detail = `${says}: while one broker restarts, nothing can be written`;
    return warning("replicas", detail, `Set ${setting} to ${factor - 1}, or add a replica.`);
  }
  if (minimum === 1 && factor >= 3) {
    const detail = `${says}: one that counts can still be lost with a single broker`;
    return warning("replicas", detail, `Set ${setting} of the topic to 2.`);
  }
  return ok("replicas", factor === 1 ? "1, all that a cluster of one broker can have" : says);
}

function unreadable(name: string, error: Error): Observation {
  return notChecked(
    "settings",
    `cleanup policy, retention and sizes can't be read: ${error.message}`,
    `Grant this user DESCRIBE_CONFIGS on the topic ${name}, at least for this check.`,
  );
}

function cleanup(role: TopicRole, settings: ReadonlyMap<string, string>): Observation {
  const policy = settings.get("cleanup.policy");
  if (policy === undefined) return notChecked("cleanup policy", "the brokers don't tell it");
  if (!policy.includes("compact")) return ok("cleanup policy", policy);
  const harm = {
    events: "compaction loses an opt-out when a later record has its key, and refuses events without a key",
    status:
      "compaction loses all but a number's last outcome, and refuses the outcome of an event without a key",
    deadLetter: "compaction loses all but a key's last dead letter, and refuses those without a key for ever",
  }[role];
  return failed("cleanup policy", `${policy}: ${harm}`, "Set cleanup.policy of the topic to delete.");
}

/** Milliseconds. Below `fatal` it fails, below `low` it warns; `why` says what is lost. */
const RETENTION: Record<TopicRole, { low: number; fatal: number; days: number; why: string }> = {
  events: {
    low: 14 * DAY_MS,
    // From Friday evening to Monday morning, and some hours to mend what broke.
    fatal: 3 * DAY_MS,
    days: 14,
    why: "opt-outs that an environment couldn't take until then are lost",
  },
  status: {
    low: 5 * 365 * DAY_MS,
    fatal: 0,
    days: 1_827,
    why: "the proof of delivery is gone then; US law (47 CFR 64.1200) has it kept for five years",
  },
  deadLetter: {
    low: 30 * DAY_MS,
    fatal: 0,
    days: -1,
    why: "a rejected opt-out that nobody has looked at until then is lost",
  },
};

function retention(role: TopicRole, settings: ReadonlyMap<string, string>): Observation {
  const time = numberOf(settings, "retention.ms");
  const bytes = numberOf(settings, "retention.bytes") ?? -1;
  if (time === undefined) return notChecked("retention", "the brokers don't tell it");
  const { low, fatal, days, why } = RETENTION[role];
  const says = time < 0 ? "for ever" : daysOf(time);
  const wanted = days < 0 ? "-1 (for ever)" : `${days * DAY_MS} (${days} days)`;
  const remedy = `Set retention.ms of the topic to ${wanted}.`;
  if (time >= 0 && time < fatal) return failed("retention", `${says}: ${why}`, remedy);
  if (time >= 0 && time < low) return warning("retention", `${says}: ${why}`, remedy);
  if (bytes >= 0) {
    const detail = `${says}, but at most ${bytes} bytes of a partition: when that is reached, ${why}`;
    return warning("retention", detail, "Set retention.bytes of the topic to -1.");
  }
  return ok("retention", says);
}

function messageSize({ role, settings, eventsSettings }: TopicFacts): Observation[] {
  if (role !== "deadLetter" || settings instanceof Error || eventsSettings instanceof Error) return [];
  const own = numberOf(settings, "max.message.bytes");
  const events = numberOf(eventsSettings, "max.message.bytes");
  if (own === undefined || events === undefined) return [];
  if (own >= events + DEAD_LETTER_OVERHEAD) return [ok("message size", `up to ${own} bytes`)];
  return [
    warning(
      "message size",
      `up to ${own} bytes, and an event may have ${events}: the largest ones become dead letters without their value`,
      `Set max.message.bytes of the topic to ${2 * events}.`,
    ),
  ];
}

function numberOf(settings: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = settings.get(name);
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}

function daysOf(milliseconds: number): string {
  const [amount, unit] =
    milliseconds >= DAY_MS ? [milliseconds / DAY_MS, "day"] : [milliseconds / HOUR_MS, "hour"];
  const shown = Math.floor(amount * 10) / 10;
  return `${shown} ${unit}${shown === 1 ? "" : "s"}`;
}

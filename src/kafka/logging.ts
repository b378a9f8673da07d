import { type LogEntry, type logCreator, logLevel } from "kafkajs";
import { messageOf } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";
import { CLOSED } from "./sockets.ts";

/** The same complaint is shown once in this time, in milliseconds; the next showing says how often it came meanwhile. */
const REPEAT_WINDOW_MS = 60_000;
const MAX_REMEMBERED = 100;
/** A passing condition that is still there at this retry is no longer passing. */
const PATIENCE_RETRIES = 3;

/**
 * What brokers answer in the ordinary course of things: while leaders and coordinators are elected (always so for the
 * first request of a fresh cluster), topics spread, groups rebalance. kafkajs logs these as errors and retries them.
 */
const PASSING = [
  /no leader for this topic-partition/,
  /not the leader for that topic-partition/,
  /does not host this topic-partition/,
  /coordinator is not available/,
  /not the correct coordinator/,
  /not the correct controller/,
  /coordinator is loading/,
  /group is rebalancing/,
  /generation id is not valid/,
  /needs to have a valid member id/,
  /leader epoch in the request/,
  /fetch session/,
  /replica is not available/,
  /not aware of all assigned partitions/,
];

/** Done on purpose, or said a second time, by kafkajs or by whoever gets the rejected promise. */
const ECHOES = [
  new RegExp(CLOSED),
  /^Failed to connect to seed broker, trying another/,
  /^Failed to connect to broker, reconnecting/,
  /^Response (SaslHandshake|SaslAuthenticate|ApiVersions|Metadata|CreateTopics)\b/,
  /^Response Heartbeat\b.*not aware of this member/,
  /^Response without match/,
  /^Restarting the consumer in/,
];

interface Repeats {
  shownAt: number;
  hidden: number;
}

/**
 * Passes kafkajs' own log lines on to ours: what is routine at debug, trouble at warn and once a minute for each kind.
 * kafkajs never logs at a level that makes someone get up: whoever gets its rejected promise decides that.
 */
export function createLogBridge(logger: Logger, now: () => number = Date.now): logCreator {
  const log = logger.child({ component: "kafka" });
  const repeats = new Map<string, Repeats>();

  const warn = (fields: Record<string, unknown>, text: string): void => {
    const key = `${text} ${fields.error ?? ""}`;
    const seen = repeats.get(key);
    if (seen !== undefined && now() - seen.shownAt < REPEAT_WINDOW_MS) {
      seen.hidden += 1;
      log.debug(fields, text);
      return;
    }
    repeats.delete(key);
    repeats.set(key, { shownAt: now(), hidden: 0 });
    for (const oldest of repeats.keys()) {
      if (repeats.size <= MAX_REMEMBERED) break;
      repeats.delete(oldest);
    }
    log.warn(seen?.hidden ? { ...fields, repeated: seen.hidden } : fields, text);
  };

  return () => (entry) => {
    const text = textOf(entry);
    if (entry.level === logLevel.DEBUG) log.trace(safeFields(entry), text);
    else if (isRoutine(entry)) log.debug(safeFields(entry), text);
    else warn(safeFields(entry), text);
  };
}

/** The level kafkajs has to log at for this logger: what would be dropped anyway isn't even formatted. */
export const kafkaLogLevel = (logger: Logger): logLevel => {
  if (logger.isLevelEnabled("trace")) return logLevel.DEBUG;
  return logger.isLevelEnabled("debug") ? logLevel.INFO : logLevel.WARN;
};

/** kafkajs sometimes logs an error in place of a message; those of OpenSSL end with a line break. */
const textOf = ({ log }: LogEntry): string => messageOf(log.message).trim();

function isRoutine(entry: LogEntry): boolean {
  const { level, log } = entry;
  if (level === logLevel.INFO) return true;
  const text = `${textOf(entry)} ${typeof log.error === "string" ? log.error : ""}`;
  if (ECHOES.some((pattern) => pattern.test(text))) return true;
  const retries = typeof log.retryCount === "number" ? log.retryCount : 0;
  return retries < PATIENCE_RETRIES && PASSING.some((pattern) => pattern.test(text));
}

/** Of kafkajs' fields the ones that can't hold a payload, a credential or a stack. */
function safeFields({ log }: LogEntry): Record<string, unknown> {
  const { broker, groupId, memberId, topic, partition, error, retryCount } = log;
  const fields = { broker, groupId, memberId, topic, partition, error, retryCount };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

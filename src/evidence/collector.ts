import { OptoutError } from "../errors.ts";
import { grouped } from "../grouped.ts";
import { type FoundStatus, identityOf, withDetailsOf } from "../inspect/statuses.ts";

/** Tells each event once, whatever crashes repeated. */
export interface Collector {
  /** What is to be told now: the status, one that was held back, or nothing. */
  add(status: FoundStatus): FoundStatus[];
  /** What is held back still. */
  finish(): FoundStatus[];
  /** Records that told of an event once more. */
  readonly repeats: number;
}

export interface CollectorLimits {
  /** Events of a report: with some 100 bytes for each, what fits in memory easily. */
  maxEvents: number;
  /** Statuses that wait for a repeat with more details: some 1 KiB each. */
  maxHeld: number;
}

const LIMITS: CollectorLimits = { maxEvents: 2_000_000, maxHeld: 20_000 };

/**
 * A status that lacks an acknowledgement's time is held back, for a repeat may have it; any other can't become better and
 * is told at once. If more are held than fit, the one that has waited longest is told as it is.
 * @throws OptoutError `usage` from `add`, when there are more events than fit
 */
export function createCollector({ maxEvents, maxHeld }: CollectorLimits = LIMITS): Collector {
  const isNew = createIsNew();
  const held = new Map<string, FoundStatus>();
  let events = 0;
  let repeats = 0;

  return {
    add(status) {
      if (!isNew(status)) {
        repeats++;
        return improve(held, status);
      }
      events++;
      if (events > maxEvents) {
        throw new OptoutError(
          "usage",
          `More than ${grouped(maxEvents)} opt-outs were received in this period, which one report can't hold. ` +
            "Ask for a shorter one with --from and --to.",
        );
      }
      if (isComplete(status)) return [status];
      held.set(identityOf(status), status);
      return held.size > maxHeld ? takeOldest(held) : [];
    },
    finish() {
      const rest = [...held.values()];
      held.clear();
      return rest;
    },
    get repeats() {
      return repeats;
    },
  };
}

/** Tells whether a status is the first of its event. */
function createIsNew(): (status: FoundStatus) => boolean {
  /** By the events' partition: timestamps by offset. */
  const seen = new Map<string, Map<number, number>>();
  /** Those of a topic that was made anew, and so counts its offsets once more. */
  const others = new Set<string>();
  return (status) => {
    const { topic, partition, offset, timestamp } = status.origin;
    const place = `${topic}:${partition}`;
    const offsets = seen.get(place) ?? new Map<number, number>();
    seen.set(place, offsets);
    const time = Date.parse(timestamp);
    const known = offsets.get(offset);
    if (known === undefined) {
      offsets.set(offset, time);
      return true;
    }
    const id = identityOf(status);
    if (known === time || others.has(id)) return false;
    others.add(id);
    return true;
  };
}

const isComplete = ({ environments }: FoundStatus): boolean =>
  environments.every(({ outcome, acknowledgedAt }) => outcome === "rejected" || acknowledgedAt !== null);

function improve(held: Map<string, FoundStatus>, repeated: FoundStatus): FoundStatus[] {
  const id = identityOf(repeated);
  const first = held.get(id);
  if (first === undefined) return [];
  const better = withDetailsOf(first, repeated);
  if (isComplete(better)) {
    held.delete(id);
    return [better];
  }
  held.set(id, better);
  return [];
}

function takeOldest(held: Map<string, FoundStatus>): FoundStatus[] {
  for (const [id, status] of held) {
    held.delete(id);
    return [status];
  }
  return [];
}

import { OptoutError } from "../errors.ts";
import type { Letter } from "./letter.ts";

/** Which dead letters are meant; all of what is given must hold, and any of several names. */
export interface Selection {
  reasons: readonly string[];
  environments: readonly string[];
  /** When the dead letter was written, in milliseconds since the epoch; inclusive. */
  since?: number | undefined;
  until?: number | undefined;
}

export interface Refusal {
  reason: string;
  environment: string | null;
}

/** A rejected event with all of its selected dead letters: one for each environment that refused it, and repeats. */
export interface RejectedEvent {
  /** The one to send it from: a whole one, if there is one. */
  letter: Letter;
  /** When the first was written, in milliseconds since the epoch. */
  at: number;
  refusals: readonly Refusal[];
}

/** Dead letters, gathered by their events. */
export interface Gathered {
  /** In no order. */
  events: readonly RejectedEvent[];
  /** How many dead letters were selected. */
  letters: number;
  /** Records that are not dead letters of this events topic. */
  foreign: number;
  /** Environments named by any dead letter, selected or not. */
  environments: ReadonlySet<string>;
}

export interface Plan {
  /** To be sent, oldest first. */
  events: readonly RejectedEvent[];
  /** Those that something is missing of. */
  incomplete: readonly RejectedEvent[];
  alreadyRedriven: number;
  /** Left for another run by the limit. */
  left: number;
}

/** With some 400 bytes for each, what fits in memory easily. */
const MAX_EVENTS = 500_000;

export interface Gatherer {
  add(letter: Letter | undefined): void;
  result(): Gathered;
}

/**
 * @throws OptoutError `usage` from `add`, when more are selected than fit in memory
 */
export function createGatherer(selection: Selection, topic: string, maxEvents = MAX_EVENTS): Gatherer {
  /** By `statusId`: more than one only of a topic that was made anew, and so counts its offsets once more. */
  const events = new Map<string, RejectedEvent[]>();
  let size = 0;
  const environments = new Set<string>();
  let letters = 0;
  let foreign = 0;

  return {
    add(letter) {
      if (letter === undefined || letter.event.topic !== topic) {
        foreign++;
        return;
      }
      if (letter.environment !== null) environments.add(letter.environment);
      if (!isSelected(letter, selection)) return;
      letters++;
      const others = events.get(letter.statusId) ?? [];
      const index = others.findIndex((other) => isSameEvent(other.letter, letter));
      if (index < 0 && size === maxEvents) {
        throw new OptoutError(
          "usage",
          `More than ${maxEvents} events match. Select fewer with --since, --until, --reason or --environment.`,
        );
      }
      if (index < 0) size++;
      const event = merged(others[index], letter);
      events.set(letter.statusId, index < 0 ? [...others, event] : others.with(index, event));
    },
    result: () => ({ events: [...events.values()].flat(), letters, foreign, environments }),
  };
}

/** Of letters with one `statusId`. One that isn't whole can't be told from others. */
const isSameEvent = (a: Letter, b: Letter): boolean => !a.isWhole || !b.isWhole || a.digest === b.digest;

const matches = (names: readonly string[], name: string | null): boolean =>
  names.length === 0 || (name !== null && names.includes(name));

const isSelected = (letter: Letter, { reasons, environments, since, until }: Selection): boolean =>
  matches(reasons, letter.reason) &&
  matches(environments, letter.environment) &&
  letter.at >= (since ?? Number.NEGATIVE_INFINITY) &&
  letter.at <= (until ?? Number.POSITIVE_INFINITY);

function merged(known: RejectedEvent | undefined, letter: Letter): RejectedEvent {
  const { reason, environment } = letter;
  const refusals = known?.refusals ?? [];
  const isKnown = refusals.some((each) => each.reason === reason && each.environment === environment);
  return {
    letter: known?.letter.isWhole ? known.letter : letter,
    at: Math.min(known?.at ?? letter.at, letter.at),
    refusals: isKnown ? refusals : [...refusals, { reason, environment }],
  };
}

/**
 * An event that was rejected in several rounds is sent once, as the one of its last round. If that one's bytes weren't kept,
 * an earlier round has them: they are the same.
 */
function lastRounds(events: readonly RejectedEvent[], all: readonly RejectedEvent[]): RejectedEvent[] {
  const wholes = new Map(
    all.flatMap(({ letter }) => (letter.isWhole ? [[letter.origin, letter] as const] : [])),
  );
  const last = new Map<string, RejectedEvent>();
  for (const event of events.map((each) => withBytesOf(each, wholes.get(each.letter.origin)))) {
    const { origin, digest, redriven } = event.letter;
    const other = last.get(`${origin} ${digest}`);
    if (other === undefined || other.letter.redriven < redriven) last.set(`${origin} ${digest}`, event);
  }
  return [...last.values()];
}

function withBytesOf(event: RejectedEvent, whole: Letter | undefined): RejectedEvent {
  if (event.letter.isWhole || whole === undefined) return event;
  const { partition, offset, isWhole, isEmpty, digest, eventId, source } = whole;
  const bytes = { partition, offset, isWhole, isEmpty, digest, eventId, source };
  return { ...event, letter: { ...event.letter, ...bytes } };
}

/** Clocks of the machines that wrote the records may differ by as much; milliseconds. */
export const CLOCK_SKEW_MS = 60 * 60_000;

/**
 * What to send of the gathered events.
 * @param redriven statusIds of rejected events that were redriven before, and when that was last; milliseconds since the
 *   epoch. If it was before the event was rejected, another one had its offset then.
 */
export function planOf(
  gathered: readonly RejectedEvent[],
  redriven: ReadonlyMap<string, number>,
  limit: number,
): Plan {
  const fresh = gathered.filter(
    ({ letter, at }) => (redriven.get(letter.statusId) ?? Number.NEGATIVE_INFINITY) < at - CLOCK_SKEW_MS,
  );
  const last = lastRounds(fresh, gathered).sort((a, b) => a.at - b.at || a.letter.offset - b.letter.offset);
  const whole = last.filter(({ letter }) => letter.isWhole);
  return {
    events: whole.slice(0, limit),
    incomplete: last.filter(({ letter }) => !letter.isWhole),
    alreadyRedriven: gathered.length - fresh.length,
    left: Math.max(0, whole.length - limit),
  };
}

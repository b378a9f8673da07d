import { type Deferred, deferred } from "../deferred.ts";

/** Keeps reading from running ahead of Kafka, which has to acknowledge each event's commit and then its results. */
export interface Brake {
  /** So many more events wait for Kafka; below 0, so many fewer. */
  add(events: number): void;
  /** Undefined if reading may go on. Else resolves when it may: few wait, or it has waited for long enough. Never rejects. */
  wait(): Promise<void> | undefined;
}

/** Events that wait, above which reading waits, and below which it goes on: a few requests' worth. */
const FROM = 2_000;
const UNTIL = 1_000;

/**
 * When this was in vain, Kafka may be away. What can be sent must be no later than this for it, so reading is free then for a
 * while, for all partitions; what may be pending bounds it. Milliseconds.
 */
const MAX_WAIT_MS = 500;
const FREE_MS = 250;

/** @param now milliseconds, monotonic. */
export function createBrake(now: () => number): Brake {
  let waiting = 0;
  let relief: Deferred | undefined;
  let freeUntil = Number.NEGATIVE_INFINITY;

  const reliefOrPatience = (over: Promise<void>): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => {
        freeUntil = now() + FREE_MS;
        resolve();
      }, MAX_WAIT_MS);
      over.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });

  return {
    add(events) {
      waiting += events;
      if (waiting > FROM) relief ??= deferred();
      if (waiting > UNTIL) return;
      relief?.resolve();
      relief = undefined;
    },
    wait: () => (relief === undefined || now() < freeUntil ? undefined : reliefOrPatience(relief.promise)),
  };
}

import type { Delivery } from "./sender.ts";

/** Milliseconds for which an acknowledged key is known. */
const WINDOW_MS = 24 * 60 * 60 * 1_000;
/** Acknowledged keys known at once; the oldest give way. About 20 MB. */
const MAX_KEYS = 50_000;

/** What is known of an `Idempotency-Key`: its opt-out is in Kafka, or on its way there. */
export type Known = { fingerprint: string } & (
  | { state: "acknowledged" }
  | { state: "sending"; delivery: Delivery }
);

/**
 * The memory of one process for idempotency keys, by an `id` that stands for caller and key. A key is `acknowledged`
 * only once Kafka has its record; one whose record failed is forgotten, so that a repeat is sent anew.
 */
export interface Repeats {
  find(id: string): Known | undefined;
  /** From now on this id stands for this delivery, unless that fails. */
  remember(id: string, fingerprint: string, delivery: Delivery): void;
}

export function createRepeats(now: () => number, maxKeys = MAX_KEYS): Repeats {
  /** Bounded by what the sender has under way. */
  const sending = new Map<string, Known>();
  /** The oldest first. */
  const acknowledged = new Map<string, { fingerprint: string; at: number }>();

  const trim = (): void => {
    for (const [id, { at }] of acknowledged) {
      if (acknowledged.size <= maxKeys && now() - at < WINDOW_MS) return;
      acknowledged.delete(id);
    }
  };

  return {
    find(id) {
      trim();
      const done = acknowledged.get(id);
      if (done !== undefined) return { state: "acknowledged", fingerprint: done.fingerprint };
      return sending.get(id);
    },
    remember(id, fingerprint, delivery) {
      const known: Known = { state: "sending", fingerprint, delivery };
      sending.set(id, known);
      void delivery.acknowledged.then((taken) => {
        // Another opt-out may have come under this key since; then that one counts.
        if (sending.get(id) !== known) return;
        sending.delete(id);
        if (taken) acknowledged.set(id, { fingerprint, at: now() });
        trim();
      });
    },
  };
}

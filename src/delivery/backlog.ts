import type { EntryRange } from "../batching/split.ts";
import { createFairQueue } from "./fair-queue.ts";
import { type Part, partitionOf } from "./parts.ts";
import { createPhoneOrder } from "./phone-order.ts";

/**
 * The parts of one lane that aren't under way: ready to go, in turns of their partitions; waiting for their backoff; or held
 * back behind another wish for one of their phones.
 */
export interface Backlog {
  /** In the queue; some of them may turn out to be held back when it is their turn. */
  readonly ready: number;
  readonly delayed: number;
  readonly heldBack: number;
  push(part: Part): void;
  /** For a part that was taken and must go before the others of its partition. */
  pushFront(part: Part): void;
  /** Makes the part ready after so many milliseconds. */
  delay(part: Part, milliseconds: number): void;
  /** The next part that may be sent; undefined if there is none, for all that were ready are held back. */
  shift(): Part | undefined;
  /** The part that waits longest for its backoff and may be sent. */
  shiftDelayed(): Part | undefined;
  /** These entries of the part's batch hold back nobody any more. */
  release(part: Part, range: EntryRange): void;
  /** Makes all delayed parts ready at once. */
  releaseDelayed(): void;
  clear(): void;
}

/** `onReady` is called when a delay is over. */
export function createBacklog(onReady: () => void): Backlog {
  const queue = createFairQueue<Part>();
  const delayed = new Map<Part, NodeJS.Timeout>();
  const order = createPhoneOrder();

  const pushFront = (part: Part): void => queue.pushFront(partitionOf(part), part);

  return {
    get ready() {
      return queue.size;
    },
    get delayed() {
      return delayed.size;
    },
    get heldBack() {
      return order.waiting;
    },
    push: (part) => queue.push(partitionOf(part), part),
    pushFront,
    delay(part, milliseconds) {
      const release = () => {
        delayed.delete(part);
        pushFront(part);
        onReady();
      };
      delayed.set(part, setTimeout(release, milliseconds));
    },
    shift() {
      let part = queue.shift();
      while (part !== undefined && !order.admit(part)) part = queue.shift();
      return part;
    },
    shiftDelayed() {
      for (const [part, pending] of delayed) {
        clearTimeout(pending);
        delayed.delete(part);
        if (order.admit(part)) return part;
      }
      return undefined;
    },
    release(part, range) {
      for (const free of order.leave(part, range).reverse()) pushFront(free);
    },
    releaseDelayed() {
      for (const [part, pending] of delayed) {
        clearTimeout(pending);
        pushFront(part);
      }
      delayed.clear();
    },
    clear() {
      queue.clear();
      order.clear();
      for (const pending of delayed.values()) clearTimeout(pending);
      delayed.clear();
    },
  };
}

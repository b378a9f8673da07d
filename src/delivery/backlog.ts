import { createFairQueue } from "./fair-queue.ts";
import { type Part, partitionOf } from "./parts.ts";

/** The parts of one lane that aren't under way: ready to go, in turns of their partitions, or waiting for their backoff. */
export interface Backlog {
  readonly ready: number;
  readonly delayed: number;
  push(part: Part): void;
  /** For a part that was taken and must go before the others of its partition. */
  pushFront(part: Part): void;
  /** Makes the part ready after so many milliseconds. */
  delay(part: Part, milliseconds: number): void;
  shift(): Part | undefined;
  /** The part that waits longest for its backoff. */
  shiftDelayed(): Part | undefined;
  /** Makes all delayed parts ready at once. */
  releaseDelayed(): void;
  clear(): void;
}

/** `onReady` is called when a delay is over. */
export function createBacklog(onReady: () => void): Backlog {
  const queue = createFairQueue<Part>();
  const delayed = new Map<Part, NodeJS.Timeout>();

  const pushFront = (part: Part): void => queue.pushFront(partitionOf(part), part);

  return {
    get ready() {
      return queue.size;
    },
    get delayed() {
      return delayed.size;
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
    shift: () => queue.shift(),
    shiftDelayed() {
      for (const [part, pending] of delayed) {
        clearTimeout(pending);
        delayed.delete(part);
        return part;
      }
      return undefined;
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
      for (const pending of delayed.values()) clearTimeout(pending);
      delayed.clear();
    },
  };
}

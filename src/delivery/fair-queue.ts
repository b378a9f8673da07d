/** First in, first out within a partition; round robin over partitions, so that a busy one doesn't starve the others. */
export interface FairQueue<T> {
  readonly size: number;
  push(partition: number, item: T): void;
  /** For an item that was taken and must go before the others of its partition. */
  pushFront(partition: number, item: T): void;
  shift(): T | undefined;
  clear(): void;
}

/** Places of items already taken that a queue may still hold. */
const COMPACT_AT = 1024;

export function createFairQueue<T>(): FairQueue<T> {
  /** Items from `head` on are live, and none before is kept; the map's order is the order of turns. Empty queues are removed. */
  const queues = new Map<number, { items: (T | undefined)[]; head: number }>();
  let size = 0;

  const queueOf = (partition: number) => {
    const known = queues.get(partition);
    if (known !== undefined) return known;
    const created = { items: [], head: 0 };
    queues.set(partition, created);
    return created;
  };

  return {
    get size() {
      return size;
    },
    push(partition, item) {
      queueOf(partition).items.push(item);
      size++;
    },
    pushFront(partition, item) {
      const queue = queueOf(partition);
      if (queue.head > 0) queue.items[--queue.head] = item;
      else queue.items.unshift(item);
      size++;
    },
    shift() {
      for (const [partition, queue] of queues) {
        const item = queue.items[queue.head];
        queue.items[queue.head++] = undefined;
        queues.delete(partition);
        if (queue.head < queue.items.length) {
          if (queue.head > COMPACT_AT) {
            queue.items.splice(0, queue.head);
            queue.head = 0;
          }
          queues.set(partition, queue);
        }
        size--;
        return item;
      }
      return undefined;
    },
    clear() {
      queues.clear();
      size = 0;
    },
  };
}

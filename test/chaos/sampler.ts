import type { PendingSample } from "./evidence.ts";
import type { Places } from "./places.ts";

/** What all relays say of themselves, asked every now and then. */
export interface Samples {
  /** The most events that each process held of each partition. */
  pending: PendingSample[];
  /**
   * By process, when it didn't answer for long: a machine with too much to do stops processes as well as SIGSTOP does, and
   * tells nobody.
   */
  silent: Map<string, { from: number; to: number }[]>;
}

const EVERY_MS = 200;
const SILENT_MS = 1_000;

export function startSampling(places: Places): { stop(): Samples } {
  const highest = new Map<string, PendingSample>();
  const silent: Samples["silent"] = new Map();
  const answeredAt = new Map<string, number>();
  const asked = new Set<string>();

  const ask = async (process: string): Promise<void> => {
    const view = await places.look(process);
    if (view === undefined) return;
    const now = Date.now();
    const before = answeredAt.get(process) ?? now;
    if (now - before > SILENT_MS)
      silent.set(process, [...(silent.get(process) ?? []), { from: before, to: now }]);
    answeredAt.set(process, now);
    for (const { partition, pendingEvents: events } of view.partitions) {
      const id = `${process} ${partition}`;
      if (events > (highest.get(id)?.events ?? -1)) highest.set(id, { process, partition, events });
    }
  };

  const timer = setInterval(() => {
    for (const { name } of places.running()) {
      if (asked.has(name)) continue;
      asked.add(name);
      void ask(name).finally(() => asked.delete(name));
    }
  }, EVERY_MS);

  return {
    stop() {
      clearInterval(timer);
      return { pending: [...highest.values()], silent };
    },
  };
}

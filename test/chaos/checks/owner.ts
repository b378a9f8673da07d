import type { Evidence, Violation } from "../evidence.ts";
import { byName, lastAt, ownersBetween, wasOnItsWay } from "../history.ts";
import type { Requests } from "./requests.ts";

/** As configured: so many requests may be on their way from a process to an environment when it is stopped. */
export const MAX_CONCURRENCY = 16;

/**
 * Invariant 5: only the partition's current owner sends. What it had on its way when the partition went elsewhere may come
 * in later: at once, or, of a process that was stopped meanwhile, when it wakes up; and no more than it may have in flight.
 */
export function checkOwner(evidence: Evidence, { known }: Requests): Violation[] {
  const processes = byName(evidence);
  const { generations, lag } = evidence;
  const onTheirWay = new Map<string, number>();
  const violations: Violation[] = [];
  for (const { request, batch } of known) {
    const { sender, at, environment, key } = request;
    if (sender === null || ownersBetween(evidence, batch.partition, at - lag, at).has(sender)) continue;
    const before = generations.slice(0, lastAt(generations, at) + 1);
    const last = before.findLastIndex(({ owners }) => owners.get(batch.partition) === sender);
    const since = before[last + 1]?.at ?? Number.NEGATIVE_INFINITY;
    if (last >= 0 && wasOnItsWay(processes, sender, { since, at, lag })) {
      const id = `${sender} ${environment} ${since}`;
      const count = (onTheirWay.get(id) ?? 0) + 1;
      onTheirWay.set(id, count);
      if (count <= MAX_CONCURRENCY) continue;
    }
    violations.push({
      invariant: 5,
      what:
        last < 0
          ? `${sender} sent ${key} to ${environment} at ${at} and never owned the partition`
          : `${sender} sent ${key} to ${environment} at ${at}, ${at - since} ms after the partition went elsewhere`,
    });
  }
  return violations;
}

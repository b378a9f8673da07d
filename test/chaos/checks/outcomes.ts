import type { StatusRecord } from "../../../src/results/status.ts";
import { createBatches } from "../batches.ts";
import type { EventEvidence, Evidence, ProcessEvidence, StatusEvidence, Violation } from "../evidence.ts";
import type { Settings } from "../schedule.ts";
import { ledgerRanges } from "./requests.ts";

/** What a process of that configuration must make of an event. */
export interface Prediction {
  outcome: StatusRecord["outcome"];
  reason: string | null;
  phone: string | null;
  environments: readonly { name: string; outcome: "accepted" | "rejected" }[];
}

export function predict(
  { meaning }: EventEvidence,
  { region, environments }: Settings,
  refused: Evidence["refused"],
): Prediction {
  const meant = meaning[region];
  if ("reason" in meant) return { outcome: "rejected", reason: meant.reason, phone: null, environments: [] };
  const { phone } = meant.wish;
  const results = environments.map((name) => ({
    name,
    outcome: refused.get(name)?.has(phone) ? ("rejected" as const) : ("accepted" as const),
  }));
  const rejected = results.filter(({ outcome }) => outcome === "rejected").length;
  const outcome =
    rejected === 0 ? "delivered" : rejected === results.length ? "rejected" : "partially_delivered";
  return {
    outcome,
    reason: rejected === 0 ? null : "refused_by_environment",
    phone,
    environments: results,
  };
}

/** Those that owned the partition at some time until then: nobody else may have published about it. */
export function ownersUntil(evidence: Evidence, partition: number, at: number): ProcessEvidence[] {
  const names = new Set<string>();
  for (const generation of evidence.generations) {
    if (generation.at > at + evidence.lag) break;
    const owner = generation.owners.get(partition);
    if (owner !== undefined) names.add(owner);
  }
  return evidence.processes.filter(({ name }) => names.has(name));
}

const isAsPredicted = (status: StatusRecord, { outcome, reason, phone, environments }: Prediction): boolean =>
  status.outcome === outcome &&
  status.reason === reason &&
  status.phone === phone &&
  status.environments.length === environments.length &&
  environments.every((each, index) => {
    const said = status.environments[index];
    return said?.name === each.name && said.outcome === each.outcome;
  });

/**
 * Invariant 8: every event ends with exactly one outcome. It follows from the event and the configuration alone, so that
 * only processes of different configurations may differ; and what a status says was taken had been taken by then.
 */
export function checkOutcomes(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const statusIds = new Set(evidence.statuses.map(({ status }) => status.statusId));
  for (const [partition, events] of evidence.events) {
    for (const { offset } of events) {
      const statusId = `${evidence.topic}:${partition}:${offset}`;
      if (!statusIds.has(statusId)) violations.push({ invariant: 8, what: `${statusId} has no outcome` });
    }
  }
  const check = statusCheck(evidence);
  for (const each of evidence.statuses) {
    const problem = check(each);
    if (problem !== undefined) {
      violations.push({
        invariant: 8,
        what: `the status of ${each.status.statusId} at ${each.at} ${problem}`,
      });
    }
  }
  return violations;
}

function statusCheck(evidence: Evidence): (status: StatusEvidence) => string | undefined {
  const batches = createBatches(evidence);
  const ranges = ledgerRanges(evidence);
  const addedAt = new Map(
    Array.from(evidence.lists, ([name, list]) => [
      name,
      new Map(list.map((entry) => [entry.phone, Date.parse(entry.addedAt)])),
    ]),
  );
  const events = new Map(
    Array.from(evidence.events, ([partition, all]) => [
      partition,
      new Map(all.map((event) => [event.offset, event])),
    ]),
  );
  return ({ status, at }) => {
    const { partition, offset } = status.origin;
    const event = events.get(partition)?.get(offset);
    if (event === undefined) return "is of no event that the group could read";
    const range = ranges.get(partition)?.find(({ first, last }) => first <= offset && offset <= last);
    if (range === undefined) return "is of an event that was in no batch of a ledger";
    const explained = ownersUntil(evidence, partition, at).some(({ settings }) => {
      const prediction = predict(event, settings, evidence.refused);
      const key = prediction.phone === null ? null : batches.whole(range, settings.region).key;
      return isAsPredicted(status, prediction) && status.idempotencyKey === key;
    });
    if (!explained) return `says "${status.outcome}", which no configuration of an owner explains`;
    for (const { name, outcome } of status.environments) {
      if (outcome !== "accepted") continue;
      const added = addedAt.get(name)?.get(status.phone ?? "");
      if (added === undefined) return `says accepted by ${name}, where the phone isn't on the list`;
      if (added > at) return `says accepted by ${name}, where the phone came on the list only at ${added}`;
    }
    return undefined;
  };
}

import type { Evidence, Violation } from "../evidence.ts";
import { checkBounds } from "./bounds.ts";
import { checkNotAskedAgain } from "./not-asked-again.ts";
import { checkNothingLost } from "./nothing-lost.ts";
import { checkOneKey } from "./one-key.ts";
import { checkOutcomes } from "./outcomes.ts";
import { checkOwner } from "./owner.ts";
import { checkRecorded } from "./recorded.ts";
import { readRequests } from "./requests.ts";
import { checkSettled } from "./settled.ts";

/** Holds what was seen against the invariants of docs/architecture.md. Pure. */
export function checkAll(evidence: Evidence): Violation[] {
  const requests = readRequests(evidence);
  const defects = evidence.processes.filter(({ defect }) => defect !== null);
  return [
    ...defects.map(({ name, defect }) => ({ invariant: 0 as const, what: `${name} ended: ${defect}` })),
    ...checkRecorded(evidence, requests),
    ...checkSettled(evidence),
    ...checkNotAskedAgain(evidence, requests),
    ...checkOneKey(evidence, requests),
    ...checkOwner(evidence, requests),
    ...checkNothingLost(evidence),
    ...checkBounds(evidence),
    ...checkOutcomes(evidence),
  ];
}

import type { ReportHead, ReportRead } from "../../src/evidence/report.ts";
import type { FoundStatus } from "../../src/inspect/statuses.ts";
import type { EnvironmentResult } from "../../src/results/status.ts";

export const PHONE = "+12125550123";
/** So many seconds after nine. */
export const at = (second: number): string => new Date(Date.UTC(2026, 2, 1, 9, 0, second)).toISOString();

export const accepted = (name: string, acknowledgedAt: string | null): EnvironmentResult => ({
  ...{ name, outcome: "accepted", acknowledgedAt },
  ...(acknowledgedAt === null
    ? { attempts: null, httpStatus: null, requestId: null }
    : { attempts: 1, httpStatus: 201, requestId: `r-${name}` }),
});

export const refused = (name: string): EnvironmentResult => ({
  ...{ name, outcome: "rejected", attempts: 2, httpStatus: 422, requestId: "r-no", acknowledgedAt: null },
});

/** Asked at nine, received ten seconds later, on both lists after a minute. */
export const statusOf = (offset: number, more: Partial<FoundStatus> = {}): FoundStatus => ({
  ...{ statusId: `events:0:${offset}`, outcome: "delivered", eventId: `e-${offset}`, phone: PHONE },
  ...{ source: "web", reason: null, detail: null, idempotencyKey: "key", occurredAt: at(0) },
  origin: { topic: "events", partition: 0, offset, timestamp: at(10) },
  environments: [accepted("production", at(30)), accepted("us-west", at(60))],
  ...{ completedAt: at(61), redriven: null },
  ...more,
});

export const HEAD: ReportHead = {
  ...{ topic: "status", from: at(0), to: at(3_600), selectedBy: "receivedAt", timeZone: "UTC" },
  ...{ phone: null, phonesMasked: true, environments: ["production", "us-west"] },
  ...{ generatedAt: at(4_000), version: "1.2.3" },
};

export const READ: ReportRead = {
  ...{ records: 5, repeats: 0, unreadable: { records: 0, first: [] }, expired: [] },
  ...{ behindTransaction: [], unsettled: 0, problem: null },
};

import type { OptOut } from "./opt-out.ts";

export interface Summary {
  optOuts: number;
  delivered: number;
  partiallyDelivered: number;
  rejected: number;
  /** Those of which the producer said when the person asked. */
  asked: number;
  /** Those that `redrive` sent again, after they were rejected. */
  redriven: number;
  /** The most frequent first. */
  byReason: { reason: string; optOuts: number }[];
  byEnvironment: { name: string; accepted: number; rejected: number }[];
  timeToHonour: TimeToHonour;
  /** The slowest of those that were honoured, the slowest first. */
  slowest: WorstCase[];
  /** Of those that aren't on the list of every environment, the ones received first. */
  notHonoured: WorstCase[];
}

/** Seconds: nearest-rank percentiles, exact, of all opt-outs that are on the list of every environment. */
export interface TimeToHonour {
  optOuts: number;
  /** Of these, the ones whose time is an upper bound. */
  atMost: number;
  p50: number | null;
  p90: number | null;
  p99: number | null;
  max: number | null;
}

export type WorstCase = Pick<
  OptOut,
  | "statusId"
  | "phone"
  | "source"
  | "askedAt"
  | "receivedAt"
  | "outcome"
  | "reason"
  | "timeToHonourSeconds"
  | "timeToHonourIs"
>;

export interface Summarizer {
  add(optOut: OptOut): void;
  result(): Summary;
}

const WORST = 20;
/** Reasons and names come from records, which anybody may have written. */
const MAX_NAMES = 200;
const OTHERS = "(others)";

/** Its memory is eight bytes for each opt-out that was honoured. @param environments names, which come first */
export function createSummarizer(environments: readonly string[]): Summarizer {
  const outcomes = { delivered: 0, partially_delivered: 0, rejected: 0 };
  const reasons = new Map<string, number>();
  const answers = new Map(environments.map((name) => [name, { accepted: 0, rejected: 0 }]));
  const times = createNumbers();
  const slowest = createWorst((a, b) => (b.timeToHonourSeconds ?? 0) - (a.timeToHonourSeconds ?? 0));
  const notHonoured = createWorst((a, b) => Date.parse(a.receivedAt) - Date.parse(b.receivedAt));
  let [asked, redriven, atMost] = [0, 0, 0];
  return {
    add(optOut) {
      outcomes[optOut.outcome]++;
      if (optOut.askedAt !== null) asked++;
      if (optOut.redrivenOrigin !== null) redriven++;
      if (optOut.timeToHonourIs === "at_most") atMost++;
      if (optOut.timeToHonourSeconds !== null) {
        times.add(optOut.timeToHonourSeconds);
        slowest.add(optOut);
      }
      if (optOut.outcome !== "delivered") {
        const reason = boundedName(reasons, optOut.reason ?? "(none)");
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
        notHonoured.add(optOut);
      }
      for (const { name, outcome } of optOut.environments) {
        const known = boundedName(answers, name);
        const counts = answers.get(known) ?? { accepted: 0, rejected: 0 };
        answers.set(known, { ...counts, [outcome]: counts[outcome] + 1 });
      }
    },
    result: () => ({
      optOuts: outcomes.delivered + outcomes.partially_delivered + outcomes.rejected,
      delivered: outcomes.delivered,
      partiallyDelivered: outcomes.partially_delivered,
      rejected: outcomes.rejected,
      ...{ asked, redriven },
      byReason: [...reasons]
        .map(([reason, optOuts]) => ({ reason, optOuts }))
        .sort((a, b) => b.optOuts - a.optOuts || (a.reason < b.reason ? -1 : 1)),
      byEnvironment: [...answers].map(([name, counts]) => ({ name, ...counts })),
      timeToHonour: { ...percentiles(times.sorted()), atMost },
      slowest: slowest.all(),
      notHonoured: notHonoured.all(),
    }),
  };
}

const boundedName = (known: ReadonlyMap<string, unknown>, name: string): string =>
  known.has(name) || known.size < MAX_NAMES ? name : OTHERS;

/** Pure. @param sorted the lowest first */
export function percentiles(sorted: Float64Array): Omit<TimeToHonour, "atMost"> {
  const at = (share: number): number | null =>
    sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
  return { optOuts: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

function createNumbers(): { add(number: number): void; sorted(): Float64Array } {
  let numbers = new Float64Array(1_024);
  let size = 0;
  return {
    add(number) {
      if (size === numbers.length) {
        const larger = new Float64Array(2 * size);
        larger.set(numbers);
        numbers = larger;
      }
      numbers[size++] = number;
    },
    sorted: () => numbers.slice(0, size).sort(),
  };
}

/** Keeps the few that come first by an order. */
function createWorst(order: (a: WorstCase, b: WorstCase) => number): {
  add(optOut: OptOut): void;
  all(): WorstCase[];
} {
  const kept: WorstCase[] = [];
  return {
    add(optOut) {
      const last = kept.at(-1);
      if (kept.length === WORST && last !== undefined && order(last, optOut) <= 0) return;
      const at = kept.findIndex((each) => order(each, optOut) > 0);
      kept.splice(at < 0 ? kept.length : at, 0, worstCase(optOut));
      kept.length = Math.min(kept.length, WORST);
    },
    all: () => [...kept],
  };
}

function worstCase(optOut: OptOut): WorstCase {
  const { statusId, phone, source, askedAt, receivedAt, outcome, reason } = optOut;
  const { timeToHonourSeconds, timeToHonourIs } = optOut;
  return {
    ...{ statusId, phone, source, askedAt, receivedAt, outcome, reason },
    ...{ timeToHonourSeconds, timeToHonourIs },
  };
}

import type fc from "fast-check";
import { PartitionAssigners } from "kafkajs";
import { decodeLedger, encodeLedger, MAX_LEDGER_CHARS } from "../../src/batching/ledger.ts";
import type { HttpRequest, HttpResponse } from "../../src/delivery/dialects/dialect.ts";
import type { Committed } from "./broker.ts";
import { readRange } from "./reading.ts";
import type { Setting } from "./relay-process.ts";
import { expiryPlan, failingPlan, fullPlan, type Plan, rereadPlan, stopPlan } from "./steps.ts";
import type { Log } from "./topic.ts";
import type { Sabotage } from "./world.ts";

/** Has the ledger say that its batches are the bytes that this reading of them makes. */
function forged(
  { offset, metadata }: { offset: string; metadata: string | null },
  { environments, region }: Setting,
  log: Log,
  partition: number,
): string | null {
  const base = Number(offset);
  const decoded = decodeLedger(base, metadata, environments);
  if (!decoded.ok) return metadata;
  const batches = decoded.batches.map((batch) => ({
    ...batch,
    digest: readRange(log, partition, [batch.first, batch.last], region).digest,
  }));
  return encodeLedger(base, batches, environments);
}

/** The answer to a request, had the environment taken it. */
function acknowledged(request: HttpRequest): HttpResponse {
  const entries: unknown[] = JSON.parse(request.body.toString());
  const body = JSON.stringify({ success: true, entriesProcessed: entries.length, duplicateCount: 0 });
  return { status: 201, header: () => undefined, body };
}

/** A way to break the protocol, by a wrapper around a port. */
export interface Sabotaged {
  name: string;
  /** The violations by which it shows. */
  hurts: RegExp;
  /** Of plans among which there is soon one that shows it. */
  seed: number;
  plans?: fc.Arbitrary<Plan>;
  sabotage: Sabotage;
}

export const SABOTAGES: readonly Sabotaged[] = [
  {
    name: "commits that are answered before they are applied",
    hurts: /^1:/,
    seed: 1,
    sabotage: {
      brokers(actual) {
        let held: Committed | undefined;
        return {
          ...actual,
          commit(commit) {
            if (held !== undefined) actual.commit(held);
            held = commit;
          },
        };
      },
    },
  },
  {
    name: "a ledger that isn't written before its batches are sent",
    hurts: /^1:/,
    seed: 1,
    sabotage: {
      brokers: (actual) => ({
        ...actual,
        commit: (commit) => actual.commit({ ...commit, metadata: commit.metadata && "" }),
      }),
    },
  },
  {
    name: "an epoch that goes on when the member joins again",
    hurts: /^[1-8]:/,
    seed: 3,
    sabotage: {
      client: (actual) => ({
        ...actual,
        kafka: Object.assign(Object.create(actual.kafka), {
          consumer: (settings: Parameters<typeof actual.kafka.consumer>[0]) =>
            actual.kafka.consumer({
              ...settings,
              groupId: settings?.groupId ?? "",
              partitionAssigners: [PartitionAssigners.roundRobin],
            }),
        }),
      }),
    },
  },
  {
    name: "acknowledgements that are believed of other bytes",
    hurts: /^[36]:/,
    seed: 3,
    plans: rereadPlan,
    sabotage: {
      client: (actual, setting, { logs }) => ({
        ...actual,
        admin: Object.assign(Object.create(actual.admin), {
          fetchOffsets: async (question: Parameters<typeof actual.admin.fetchOffsets>[0]) => {
            const topics = await actual.admin.fetchOffsets(question);
            return topics.map(({ topic, partitions }) => ({
              topic,
              partitions: partitions.map((each) => {
                const log = logs[each.partition];
                return log === undefined
                  ? each
                  : { ...each, metadata: forged(each, setting, log, each.partition) };
              }),
            }));
          },
        }),
      }),
    },
  },
  {
    name: "a zombie that may send",
    hurts: /^5:/,
    seed: 7,
    sabotage: {
      lease: (actual) => Object.create(actual, { isHeld: { get: () => true } }),
    },
  },
  {
    name: "statuses that are never written, but said to be",
    hurts: /^2:/,
    seed: 1,
    sabotage: { client: (actual) => ({ ...actual, producer: { ...actual.producer, send: async () => {} } }) },
  },
  {
    name: "records that are passed over",
    hurts: /^[26]:/,
    seed: 1,
    sabotage: {
      brokers: (actual) => ({
        ...actual,
        fetch: (asked, maxWait, answer) =>
          actual.fetch(asked, maxWait, (outcome) =>
            answer(
              "error" in outcome
                ? outcome
                : {
                    value: outcome.value.map((each) => ({
                      ...each,
                      messages: each.messages.length > 1 ? each.messages.slice(1) : each.messages,
                    })),
                  },
            ),
          ),
      }),
    },
  },
  {
    name: "a client that forgets the group's commit when records have expired",
    hurts: /^1: a commit of \d wipes the ledger/,
    seed: 1,
    plans: expiryPlan,
    sabotage: {
      brokers: (actual) => ({
        ...actual,
        fetch: (asked, maxWait, answer) =>
          actual.fetch(asked, maxWait, (outcome) => {
            const [{ partition } = { partition: 0 }] = asked;
            const forgotten = { process: 0, memberId: "", partition, offset: -2, metadata: null };
            if ("error" in outcome) actual.commit(forgotten);
            answer(outcome);
          }),
      }),
    },
  },
  {
    name: "a relay that doesn't know how much a ledger may hold",
    hurts: /^1: a ledger of/,
    seed: 1,
    plans: fullPlan,
    sabotage: { maxLedgerChars: () => MAX_LEDGER_CHARS },
  },
  {
    name: "an environment that all others wait for",
    hurts: /^7:/,
    seed: 1,
    sabotage: {
      environments(actual) {
        let last: Promise<unknown> = Promise.resolve();
        return {
          ...actual,
          send(process, environment, request) {
            const answered = last.then(() =>
              actual.send(process, environment, { ...request, signal: new AbortController().signal }),
            );
            last = answered.catch(() => {});
            return answered;
          },
        };
      },
    },
  },
  {
    name: "wishes that don't wait for those before them",
    hurts: /^order:/,
    seed: 1,
    sabotage: {
      send: (actual) => (request) => {
        const answer = actual(request);
        if (request.headers["idempotency-key"] === undefined) return answer;
        answer.catch(() => {});
        return Promise.resolve(acknowledged(request));
      },
    },
  },
  {
    name: "wishes that lose patience with one that is told to slow down",
    hurts: /^order:/,
    seed: 1,
    plans: failingPlan,
    sabotage: {
      send: (actual) => async (request) => {
        const response = await actual(request);
        return response.status === 429 ? { ...response, status: 500 } : response;
      },
    },
  },
  {
    name: "wishes that lose patience with one whose lane is closed",
    hurts: /^order:/,
    seed: 1,
    plans: failingPlan,
    sabotage: {
      send(actual) {
        const failures = new Map<string, number>();
        return async (request) => {
          const key = request.headers["idempotency-key"] ?? "";
          const response = await actual(request);
          if (response.status !== 503) return response;
          failures.set(key, (failures.get(key) ?? 0) + 1);
          return (failures.get(key) ?? 0) < 8 ? response : acknowledged(request);
        };
      },
    },
  },
  {
    name: "an end in order that commits nothing",
    hurts: /^drain:/,
    seed: 1,
    plans: stopPlan,
    sabotage: {
      member: (actual) => {
        actual.committer.flush = async () => {};
        return actual;
      },
    },
  },
  {
    name: "failures that are taken for acknowledgements",
    hurts: /^[36]:/,
    seed: 3,
    sabotage: {
      send: (actual) => async (request) => {
        const response = await actual(request);
        return response.status === 503 ? acknowledged(request) : response;
      },
    },
  },
];

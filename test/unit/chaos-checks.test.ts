import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createBatchBuilder } from "../../src/batching/batch.ts";
import { createDecoder } from "../../src/events/decode.ts";
import { createBatches } from "../chaos/batches.ts";
import { checkAll } from "../chaos/checks/index.ts";
import { eventAt } from "../chaos/events.ts";
import type { CommitEvidence, Evidence, RequestEvidence, StatusEvidence } from "../chaos/evidence.ts";
import { generateSchedule } from "../chaos/generate.ts";
import {
  batches,
  batchOf,
  commitOf,
  digestOf,
  FIRST,
  honestRun,
  pieceOf,
  requestOf,
  SECOND,
  settingsOf,
  splitBatch,
} from "./chaos-evidence.ts";

type Doctor = (run: Evidence) => Partial<Evidence>;

const withRequest =
  (...added: RequestEvidence[]): Doctor =>
  ({ requests }) => ({ requests: [...requests, ...added].sort((a, b) => a.at - b.at) });

const withCommits =
  (change: (commits: readonly CommitEvidence[]) => CommitEvidence[]): Doctor =>
  ({ commits }) => ({ commits: new Map([[0, change(commits.get(0) ?? [])]]) });

const withStatuses =
  (change: (status: StatusEvidence) => StatusEvidence[]): Doctor =>
  ({ statuses }) => ({ statuses: statuses.flatMap(change) });

const ofOffset = ({ status }: StatusEvidence, offset: number): boolean => status.origin.offset === offset;

/** What each forgery must be found as, among other things perhaps. */
const forgeries: { what: string; invariant: number; doctor: Doctor }[] = [
  {
    what: "a batch was sent before a commit held it",
    invariant: 1,
    doctor: withRequest(requestOf(FIRST, { environment: "north", at: 990 })),
  },
  {
    what: "a batch was sent that no ledger ever held",
    invariant: 1,
    doctor: withRequest(requestOf({ partition: 0, first: 0, last: 7 }, { environment: "north", at: 1_200 })),
  },
  {
    what: "a piece was sent before its split was committed",
    invariant: 1,
    doctor: withRequest(
      pieceOf(SECOND, { partition: 0, first: 6, last: 7 }, { environment: "south", at: 5_050, sender: "b" }),
    ),
  },
  {
    what: "a batch was sent with a body that the ledger didn't have yet",
    invariant: 1,
    doctor: (run) => ({
      ...withRequest(requestOf(FIRST, { environment: "north", at: 1_100 }, "GB"))(run),
      processes: run.processes.map((each) => ({ ...each, settings: settingsOf({ region: "GB" }) })),
    }),
  },
  {
    what: "the committed offset passed an event without a status",
    invariant: 2,
    doctor: withStatuses((each) => (ofOffset(each, 7) ? [] : [each])),
  },
  {
    what: "the committed offset passed an event before its status was published",
    invariant: 2,
    doctor: withStatuses((each) => [ofOffset(each, 3) ? { ...each, at: 2_001 } : each]),
  },
  {
    what: "a ledger had a batch as settled before its statuses",
    invariant: 2,
    doctor: withCommits((all) =>
      all.map((each) =>
        each.at === 5_300 ? commitOf(5_300, 6, { ...batchOf(SECOND), settled: true }) : each,
      ),
    ),
  },
  {
    what: "a batch was sent again to an environment whose acknowledgement was in the ledger",
    invariant: 3,
    doctor: withRequest(requestOf(SECOND, { environment: "north", at: 5_000, sender: "b", replayed: true })),
  },
  {
    what: "a piece was sent again whose acknowledgement was in the ledger",
    invariant: 3,
    doctor: withRequest(
      pieceOf(SECOND, { partition: 0, first: 6, last: 7 }, { environment: "south", at: 5_450, sender: "b" }),
    ),
  },
  {
    what: "a settled batch was sent again",
    invariant: 3,
    doctor: withRequest(requestOf(FIRST, { environment: "south", at: 2_500 })),
  },
  {
    what: "a process that woke up sent what was settled, long after it had woken up",
    invariant: 3,
    doctor: withRequest(requestOf(SECOND, { environment: "south", at: 7_500 })),
  },
  {
    what: "a commit lost an acknowledgement",
    invariant: 3,
    doctor: withCommits((all) =>
      all.map((each) => (each.at === 5_100 ? commitOf(5_100, 6, batchOf(SECOND)) : each)),
    ),
  },
  {
    what: "a key came with other bytes",
    invariant: 4,
    doctor: withRequest(requestOf(FIRST, { environment: "north", at: 1_100, sha256: "0".repeat(64) })),
  },
  {
    what: "a range was sent under another key",
    invariant: 4,
    doctor: withRequest(
      requestOf(FIRST, { environment: "north", at: 1_100, key: "events:0:0-3:0123456789abcdef" }),
    ),
  },
  {
    what: "something without a key of the contract was sent",
    invariant: 4,
    doctor: withRequest(requestOf(FIRST, { environment: "north", at: 1_100, key: "mine" })),
  },
  {
    what: "a range was cut otherwise once it was in a ledger",
    invariant: 4,
    doctor: withCommits((all) =>
      all.map((each) =>
        each.at === 5_100
          ? commitOf(5_100, 6, batchOf({ ...SECOND, last: 7 }, true), batchOf({ ...SECOND, first: 8 }, true))
          : each,
      ),
    ),
  },
  {
    what: "a batch was sent whole though the ledger had it in pieces",
    invariant: 4,
    doctor: withRequest(
      requestOf(SECOND, { environment: "south", at: 5_250, sender: "b", status: 422, applied: false }),
    ),
  },
  {
    what: "an environment took entries under two keys",
    invariant: 4,
    doctor: ({ requests }) => ({
      requests: requests.map((each) => (each.at === 5_000 ? { ...each, applied: true, status: 0 } : each)),
    }),
  },
  {
    what: "a ledger can't be read",
    invariant: 4,
    doctor: withCommits((all) => all.map((each, index) => (index === 1 ? { ...each, ledger: null } : each))),
  },
  {
    what: "a process sent what another one owned",
    invariant: 5,
    doctor: withRequest(requestOf(SECOND, { environment: "south", at: 3_400, sender: "b" })),
  },
  {
    what: "a process sent on after its partition had gone elsewhere",
    invariant: 5,
    doctor: withRequest(requestOf(SECOND, { environment: "south", at: 7_100, sender: "a" })),
  },
  {
    what: "a process that woke up sent more than it can have had on its way",
    invariant: 5,
    doctor: withRequest(
      ...Array.from({ length: 17 }, () =>
        requestOf(SECOND, { environment: "south", at: 7_005, sender: "a" }),
      ),
    ),
  },
  {
    what: "a commit went back",
    invariant: 5,
    doctor: withCommits((all) => [...all, commitOf(6_000, 6)]),
  },
  {
    what: "an opt-out isn't on a list",
    invariant: 6,
    doctor: ({ lists }) => ({
      lists: new Map([...lists, ["south", (lists.get("south") ?? []).slice(1)]]),
    }),
  },
  {
    what: "an opt-out for good is on a list until some date only",
    invariant: 6,
    doctor: ({ lists }) => ({
      lists: new Map(
        Array.from(lists, ([name, list]) => [
          name,
          list.map((entry) => ({ ...entry, expirationDate: "2040-01-01T00:00:00Z" })),
        ]),
      ),
    }),
  },
  {
    what: "something is on a list that nobody asked for, as of an aborted transaction",
    invariant: 6,
    doctor: ({ lists, events }) => ({
      lists,
      events: new Map([[0, (events.get(0) ?? []).filter(({ offset }) => offset !== 1)]]),
    }),
  },
  {
    what: "an event of an aborted transaction was read",
    invariant: 6,
    doctor: () => ({ aborted: new Set([3]) }),
  },
  {
    what: "a rejected event has no dead letter",
    invariant: 6,
    doctor: ({ deadLetters }) => ({ deadLetters: deadLetters.slice(1) }),
  },
  {
    what: "a refused entry has no dead letter",
    invariant: 6,
    doctor: ({ deadLetters }) => ({ deadLetters: deadLetters.slice(0, 1) }),
  },
  {
    what: "a dead letter isn't its record",
    invariant: 6,
    doctor: ({ deadLetters }) => ({
      deadLetters: deadLetters.map((each) => ({ ...each, value: Buffer.from("less") })),
    }),
  },
  {
    what: "a delivered event is among the dead letters",
    invariant: 6,
    doctor: ({ deadLetters }) => ({
      deadLetters: deadLetters.flatMap((each) => [
        each,
        { ...each, offset: 1, value: Buffer.from("value 1") },
      ]),
    }),
  },
  {
    what: "a partition held more than its bound",
    invariant: 7,
    doctor: () => ({ pending: [{ process: "a", partition: 0, events: 64 }] }),
  },
  {
    what: "an event has no outcome",
    invariant: 8,
    doctor: withStatuses((each) => (ofOffset(each, 2) ? [] : [each])),
  },
  {
    what: "an event has two outcomes",
    invariant: 8,
    doctor: withStatuses((each) =>
      ofOffset(each, 3) ? [each, { ...each, status: { ...each.status, outcome: "rejected" } }] : [each],
    ),
  },
  {
    what: "a status leaves an environment out",
    invariant: 8,
    doctor: withStatuses((each) => [
      { ...each, status: { ...each.status, environments: each.status.environments.slice(1) } },
    ]),
  },
  {
    what: "a status was published before the environment had the phone",
    invariant: 8,
    doctor: withStatuses((each) => [ofOffset(each, 3) ? { ...each, at: 1_050 } : each]),
  },
  {
    what: "a status names another batch",
    invariant: 8,
    doctor: withStatuses((each) => [
      ofOffset(each, 3)
        ? { ...each, status: { ...each.status, idempotencyKey: batches.whole(SECOND, "US").key } }
        : each,
    ]),
  },
  {
    what: "a status is of no event that could be read",
    invariant: 8,
    doctor: withStatuses((each) =>
      ofOffset(each, 3)
        ? [each, { ...each, status: { ...each.status, origin: { ...each.status.origin, offset: 4 } } }]
        : [each],
    ),
  },
];

describe("the checks of a chaos run", () => {
  test("find nothing in an honest run, with a zombie's request, a split and a refusal", () => {
    assert.deepEqual(checkAll(honestRun()), []);
  });

  test("let an acknowledgement go that a process without that environment committed away", () => {
    const run = honestRun();
    const isForgotten = {
      ...run,
      ...withCommits((all) => all.slice(0, 4).concat(commitOf(5_000, 6, batchOf(SECOND))))(run),
    };
    const statuses = run.statuses.slice(0, 4);
    const requests = run.requests.slice(0, 3);
    const doctored = { ...isForgotten, statuses, requests, deadLetters: run.deadLetters.slice(0, 1) };
    const successions = (evidence: Evidence) => checkAll(evidence).filter(({ invariant }) => invariant === 3);
    assert.equal(successions(doctored).length, 1);
    const processes = run.processes.map((each) =>
      each.name === "b" ? { ...each, settings: settingsOf({ environments: ["south"] }) } : each,
    );
    assert.deepEqual(successions({ ...doctored, processes }), []);
  });

  test("let entries be taken under a second key once the ledger has had another body of theirs between", () => {
    const run = honestRun();
    const requests = run.requests.map((each) =>
      each.at === 5_000 ? { ...each, applied: true, status: 0 } : each,
    );
    const twice = (evidence: Evidence) =>
      checkAll(evidence).filter(({ what }) => what.includes("took entries under")).length;
    assert.equal(twice({ ...run, requests }), 1);
    const other = { ...batchOf(SECOND), digest: digestOf(SECOND) ^ 1 };
    const between = withCommits((all) =>
      all.flatMap((each) => (each.at === 5_100 ? [commitOf(5_050, 6, other), each] : [each])),
    );
    assert.equal(twice({ ...run, requests, ...between(run) }), 0);
  });

  for (const { what, invariant, doctor } of forgeries) {
    test(`find that ${what}: invariant ${invariant}`, () => {
      const run = honestRun();
      const found = checkAll({ ...run, ...doctor(run) });
      assert.ok(
        found.some((each) => each.invariant === invariant),
        `found ${JSON.stringify(found)}`,
      );
    });
  }

  test("find that a split was forgotten before its pieces were sent", () => {
    const run = honestRun();
    const forgotten = withCommits((all) =>
      all.map((each) => (each.at === 5_100 ? commitOf(5_100, 6, splitBatch(SECOND, "pending", true)) : each)),
    );
    assert.ok(checkAll({ ...run, ...forgotten(run) }).some(({ invariant }) => invariant === 1));
  });
});

describe("the expectations of a chaos run", () => {
  test("of what an event means agree with the product's reading of it, in both regions", () => {
    for (const region of ["US", "GB"] as const) {
      const decode = createDecoder({
        normalization: { defaultRegion: region, regionBySource: {} },
        schemas: null,
      });
      for (let index = 0; index < 3_000; index++) {
        const { value, meaning } = eventAt(7, index);
        const decoded = decode({ value });
        assert.ok("ok" in decoded);
        const { [region]: meant } = meaning;
        if (!decoded.ok) assert.deepEqual(meant, { reason: decoded.reason });
        else {
          const { phone, source, expiresAt } = decoded.event;
          assert.deepEqual(meant, { wish: { phone, source, expiresAt } });
        }
      }
    }
  });

  test("of a range's key and body agree with the product's batches", () => {
    const decode = createDecoder({
      normalization: { defaultRegion: "US", regionBySource: {} },
      schemas: null,
    });
    const scope = { clusterId: "cluster", topic: "events", partition: 0 };
    const all = Array.from({ length: 400 }, (_, offset) => ({ ...eventAt(3, offset), partition: 0, offset }));
    const expected = createBatches({ ...honestRun(), events: new Map([[0, all]]) });
    for (let first = 0; first < all.length; first += 20) {
      const builder = createBatchBuilder(scope);
      for (const { offset, key, value } of all.slice(first, first + 20)) {
        const decoded = decode({ value });
        assert.ok("ok" in decoded);
        builder.add({ offset, timestamp: 0, key, value, headers: {} }, decoded);
      }
      const { key, entries } = builder.build();
      const whole = expected.whole({ partition: 0, first, last: first + 19 }, "US");
      assert.deepEqual({ key: whole.key, count: whole.count }, { key, count: entries.length });
    }
  });
});

describe("a schedule", () => {
  test("follows from its seed alone", () => {
    assert.deepEqual(generateSchedule(5), generateSchedule(5));
    assert.notDeepEqual(generateSchedule(5), generateSchedule(6));
  });

  test("is mended in the end: every freeze and every outage of a server ends", () => {
    for (let seed = 0; seed < 200; seed++) {
      const { steps, lasts } = generateSchedule(seed);
      for (const step of steps) {
        assert.ok(step.at <= lasts + 5_000, `a step at ${step.at} of ${lasts}`);
        if (step.do === "freeze" || step.do === "broker" || step.do === "registry")
          assert.ok(step.ms < 10_000);
      }
    }
  });
});

import assert from "node:assert/strict";
import { decodeLedger, type LedgerBatch, MAX_LEDGER_CHARS } from "../../src/batching/ledger.ts";
import type { PartOutcome } from "../../src/delivery/lane.ts";
import type { CommitSnapshot } from "../../src/kafka/committer.ts";
import { createPartition, type Partition } from "../../src/relay/partition.ts";
import type { SealedBatch } from "../../src/relay/sealed-batch.ts";
import {
  type Delivery,
  ENVIRONMENTS,
  type Publication,
  refused,
  SCOPE,
  settled,
  taken,
} from "./relay-partition-fixture.ts";
import type { Step, World } from "./relay-partition-steps.ts";

/** What the broker holds of the group's commit. */
interface Commit {
  offset: number;
  metadata: string;
  ledger: LedgerBatch[];
}

export interface Model {
  take(step: Step): Promise<void>;
  /** Lets everything come to its end, and checks that it does. */
  finish(): Promise<void>;
  dispose(): void;
}

const MAX_ROUNDS = 2_000;

/** One partition after another over one topic, one broker and three environments; checks the invariants as it goes. */
export function createModel(
  { inputs: records, tail, limits }: World,
  tick: (milliseconds: number) => void,
): Model {
  const end = (records.at(-1)?.record.offset ?? -1) + 1 + tail;
  let now = 0;
  let broker: Commit = { offset: 0, metadata: "", ledger: [] };
  let inFlight: CommitSnapshot | undefined;
  let requested = false;
  let open: Delivery[] = [];
  let publications: Publication[] = [];
  let nextRecord = 0;
  let partition: Partition;
  /** By offset, the key under which it was sent. */
  const keys = new Map<number, string>();
  const published = new Set<number>();
  /** By environment, offsets with its last word. */
  const answered = ENVIRONMENTS.map(() => new Set<number>());
  /** `environment first-last` of batches that an environment took whole. */
  const takenWhole = new Set<string>();
  /** `environment key` of this epoch. */
  let asked = new Set<string>();

  const inLedger = ({ first, last }: SealedBatch): LedgerBatch | undefined =>
    broker.ledger.find((batch) => batch.first === first && batch.last === last);

  const onDeliver = (delivery: Delivery): void => {
    const { environment, sealed } = delivery;
    const { key, events } = sealed.batch;
    const entry = inLedger(sealed);
    assert.ok(entry, `${key} goes out without being in the committed ledger`);
    assert.ok(
      !entry.acknowledged[environment],
      `${key} goes to an environment whose acknowledgement is committed`,
    );
    assert.ok(!asked.has(`${environment} ${key}`), `${key} goes out twice in one epoch`);
    asked.add(`${environment} ${key}`);
    for (const { record } of events) {
      assert.equal(keys.get(record.offset) ?? key, key, `offset ${record.offset} was cut in two ways`);
      keys.set(record.offset, key);
    }
    open.push(delivery);
  };

  const onPublish = (sealed: SealedBatch): Promise<void> => {
    assert.ok(!inLedger(sealed)?.settled, "what is settled in the committed ledger is published again");
    return new Promise((resolve) => publications.push({ sealed, resolve }));
  };

  const startPartition = (): void => {
    const read = decodeLedger(broker.offset, broker.metadata, ENVIRONMENTS);
    assert.ok(read.ok);
    open = [];
    publications = [];
    inFlight = undefined;
    requested = false;
    asked = new Set();
    nextRecord = records.findIndex(({ record }) => record.offset >= broker.offset);
    if (nextRecord === -1) nextRecord = records.length;
    partition = createPartition({
      scope: SCOPE,
      environments: ENVIRONMENTS,
      limits: { ...limits, maxPendingBytes: 2 ** 25 },
      base: broker.offset,
      ledger: read.batches,
      now: () => now,
      port: {
        requestCommit: () => {
          requested = true;
        },
        deliver: (environment, sealed, handlers) => onDeliver({ environment, sealed, ...handlers }),
        publish: onPublish,
        setPaused: () => {},
        onSealed: () => {},
        onRecorded: () => {},
      },
    });
  };

  const read = (count: number): void => {
    for (let left = count; left > 0; left--) {
      const input = records[nextRecord];
      if (input === undefined) {
        partition.advance(end);
        return;
      }
      if (!partition.offer(input.record, input.decoded)) {
        assert.ok(partition.paused, "an event was refused, and nothing will ask for it again");
        return;
      }
      nextRecord++;
    }
  };

  const arrive = ({ offset, metadata }: CommitSnapshot): void => {
    assert.ok(metadata.length <= MAX_LEDGER_CHARS);
    assert.ok(offset >= broker.offset, "the committed offset goes back");
    const decoded = decodeLedger(offset, metadata, ENVIRONMENTS);
    assert.ok(decoded.ok);
    for (const { record } of records) {
      if (record.offset >= offset) break;
      assert.ok(
        published.has(record.offset),
        `the committed offset passes ${record.offset}, which isn't settled`,
      );
    }
    for (const batch of broker.ledger) {
      const isKept = decoded.batches.some(({ first, last }) => first === batch.first && last === batch.last);
      assert.ok(
        batch.last < offset || isKept,
        `${batch.first}-${batch.last} is gone from the ledger unsettled`,
      );
    }
    for (const { first, last, settled: isSettled, acknowledged } of decoded.batches) {
      const isTaken = (environment: number) => takenWhole.has(`${environment} ${first}-${last}`);
      const isWrong = !isSettled && acknowledged.some((flag, environment) => flag && !isTaken(environment));
      assert.ok(!isWrong, `${first}-${last} is acknowledged by an environment that didn't take it whole`);
    }
    broker = { offset, metadata, ledger: decoded.batches };
  };

  const pick = <T>(list: T[], at: number): T | undefined => list.splice(at % Math.max(1, list.length), 1)[0];

  const answer = ({ environment, sealed, done }: Delivery, parts: PartOutcome[]): void => {
    for (const { record } of sealed.batch.events) answered[environment]?.add(record.offset);
    const isWhole = parts.every(({ accepted }) => accepted);
    if (isWhole) takenWhole.add(`${environment} ${sealed.first}-${sealed.last}`);
    done(parts);
  };

  const publish = ({ sealed, resolve }: Publication): void => {
    for (const { record, entry } of sealed.batch.events) {
      published.add(record.offset);
      for (const each of answered)
        assert.ok(entry < 0 || each.has(record.offset), "published before it was answered");
    }
    resolve();
  };

  const answerCommit = (arrived: boolean, confirmed: boolean): void => {
    const snapshot = inFlight;
    inFlight = undefined;
    if (snapshot === undefined) return;
    if (arrived || confirmed) arrive(snapshot);
    if (confirmed) snapshot.onCommitted();
    else snapshot.onFailed();
  };

  const commit = (): void => {
    if (inFlight !== undefined || !requested) return;
    requested = false;
    inFlight = partition.snapshot();
  };

  const pass = (milliseconds: number, busily: boolean): void => {
    now += milliseconds;
    if (!busily) tick(milliseconds);
  };

  const take = async (next: Step): Promise<void> => {
    switch (next.kind) {
      case "read":
        read(next.count);
        break;
      case "pass":
        pass(next.milliseconds, next.busily);
        break;
      case "commit":
        commit();
        break;
      case "answerCommit":
        answerCommit(next.arrived, next.confirmed);
        break;
      case "answer": {
        const delivery = pick(open, next.pick);
        if (delivery !== undefined)
          answer(delivery, next.refuses ? refused(delivery.sealed) : taken(delivery.sealed));
        break;
      }
      case "publish": {
        const publication = pick(publications, next.pick);
        if (publication !== undefined) publish(publication);
        break;
      }
      case "crash":
        partition.dispose();
        if (next.commitArrived && inFlight !== undefined) arrive(inFlight);
        startPartition();
    }
    await settled();
    assert.ok(
      partition.sealed.every((batch, index, all) => index === 0 || batch.first > (all[index - 1]?.last ?? 0)),
    );
  };

  const finish = async (): Promise<void> => {
    for (let round = 0; broker.offset < end; round++) {
      assert.ok(round < MAX_ROUNDS, `the committed offset stays at ${broker.offset} of ${end}`);
      if (!partition.paused) await take({ kind: "read", count: records.length + 1 });
      await take({ kind: "pass", milliseconds: 100, busily: false });
      await take({ kind: "commit" });
      await take({ kind: "answerCommit", arrived: true, confirmed: true });
      await take({ kind: "answer", pick: round, refuses: false });
      await take({ kind: "publish", pick: round });
    }
    assert.equal(broker.metadata, "");
    assert.equal(partition.pendingEvents, 0);
    for (const { record, decoded } of records) {
      assert.ok(published.has(record.offset), `offset ${record.offset} has no status`);
      for (const each of answered)
        assert.ok(!decoded.ok || each.has(record.offset), `${record.offset} was lost`);
    }
  };

  startPartition();
  return { take, finish, dispose: () => partition.dispose() };
}

import type { BatchScope, SourceRecord } from "../batching/batch.ts";
import { type BatchLimits, createBatcher, type SealTrigger } from "../batching/batcher.ts";
import { encodeLedger, type LedgerBatch, ledgerUsedRatio } from "../batching/ledger.ts";
import type { Delivery } from "../delivery/lane.ts";
import type { Decoded } from "../events/event.ts";
import type { CommitSnapshot } from "../kafka/committer.ts";
import { createRecutter } from "./recutter.ts";
import { createRoom } from "./room.ts";
import { answer, isAnswered, rebuiltBatch, type SealedBatch, sealedBatch, settle } from "./sealed-batch.ts";

/** What a partition needs of the rest of the relay. */
export interface PartitionPort {
  /** `urgent`: a seal waits for it. */
  requestCommit(urgent: boolean): void;
  deliver(environment: number, sealed: SealedBatch, handlers: Pick<Delivery, "onSplit" | "done">): void;
  /** Publishes the batch's statuses and dead letters. Never resolves once the partition is void. */
  publish(sealed: SealedBatch): Promise<void>;
  /** Reading may go on, or must stop. */
  setPaused(paused: boolean): void;
  onSealed(sealed: SealedBatch, trigger: SealTrigger | "ledger"): void;
  /** A commit has it now, which it hadn't when it was sealed. */
  onRecorded(sealed: SealedBatch): void;
}

export interface PartitionOptions {
  scope: BatchScope;
  environments: readonly string[];
  limits: BatchLimits & { maxPendingEntries: number; maxPendingBytes: number; maxLedgerChars?: number };
  /** The committed offset, and the ledger committed with it. */
  base: number;
  ledger: readonly LedgerBatch[];
  port: PartitionPort;
  /** Milliseconds, monotonic. */
  now(): number;
}

/**
 * One partition's pipeline in one epoch: from records to settled batches. It holds the truth between the committed offset
 * and the place that was read to:
 *
 *   base ─ sealed batches, in offset order ─ open batch ─ position
 *
 * Every change of epoch makes a new one from the committed ledger; the old one is void and does nothing any more.
 */
export interface Partition {
  readonly number: number;
  /** The offset to be committed next: every event before it is settled. */
  readonly base: number;
  /** What the group coordinator has of it. */
  readonly committedOffset: number;
  /** The next offset to be read. */
  readonly position: number;
  readonly sealed: readonly SealedBatch[];
  readonly ledgerUsedRatio: number;
  readonly pendingEvents: number;
  readonly paused: boolean;
  /** When the person of the oldest event asked that is read, in no batch yet, and open there; Infinity when there is none. */
  openOldestAskedAt(environment: number): number;
  openEntries(environment: number): number;
  /** Takes the next record; false when there is no room, and then reading stops until there is. */
  offer(record: SourceRecord, decoded: Decoded): boolean;
  /** There is nothing to read before this offset. */
  advance(position: number): void;
  /** What to commit, or undefined if nothing changed since the last commit. */
  snapshot(): CommitSnapshot | undefined;
  /** Asks for a commit even without a change: what the broker holds isn't what this was made from. */
  recommit(): void;
  stopSealing(): void;
  dispose(): void;
}

/** Reading starts again below this share of the room, so that it doesn't flutter. */
const RESUME_SHARE = 0.8;

export function createPartition(options: PartitionOptions): Partition {
  const { scope, environments, limits, port, now } = options;
  const batcher = createBatcher(scope, limits);
  const recutter = createRecutter(scope, options.ledger);
  const room = createRoom(limits);
  let sealed: SealedBatch[] = [];
  let base = options.base;
  let position = options.base;
  let committed = { base: options.base, dirty: false };
  let committedOffset = options.base;
  let paused = false;
  let sealing = true;
  let disposed = false;
  let timer: NodeJS.Timeout | undefined;
  /** Pieces of split batches wait for the commit that carries the split. */
  let awaitingCommit: (() => void)[] = [];

  const spans = () => (recutter.ranges.length === 0 ? sealed : [...sealed, ...recutter.ranges]);
  const ratioOf = (of: Parameters<typeof ledgerUsedRatio>[1]) =>
    ledgerUsedRatio(base, of, environments.length, limits.maxLedgerChars);

  const markDirty = (urgent: boolean): void => {
    committed.dirty = true;
    port.requestCommit(urgent);
  };

  /** A range of the ledger that was begun must be completed, or it would never settle and make room. */
  const isBlocked = (): boolean => room.isFull(1) && !recutter.isWithinRange;

  /** Seals the open batch if the ledger has room for it. */
  const trySeal = (trigger: SealTrigger): boolean => {
    const { first } = batcher;
    if (!sealing || first === undefined) return false;
    const withOpen = [...sealed, { first, last: position - 1 }, ...recutter.ranges];
    if (ratioOf(withOpen) > 1) return false;
    clearTimeout(timer);
    const batch = sealedBatch(batcher.cut(), environments.length);
    sealed.push(batch);
    port.onSealed(batch, trigger);
    markDirty(true);
    return true;
  };

  /** Seals the open batch if it is due. False if it is and the ledger has no room. */
  const sealIfDue = (at = now()): boolean => {
    const trigger = batcher.cutAfter(at);
    return trigger === undefined || trySeal(trigger);
  };

  const setPaused = (next: boolean): void => {
    // At shutdown nothing is read any more, whatever room there is.
    if (paused === next || disposed || (!sealing && !next)) return;
    paused = next;
    port.setPaused(next);
  };

  /** Seals the open batch if the event would make it too large. False if it would and the ledger has no room. */
  const makeWayFor = (decoded: Decoded): boolean => {
    const trigger = batcher.cutBefore(decoded);
    return trigger === undefined || trySeal(trigger);
  };

  const armTimer = (): void => {
    clearTimeout(timer);
    const { deadline } = batcher;
    if (deadline !== undefined && sealing) timer = setTimeout(onDeadline, Math.max(0, deadline - now()));
  };

  const onDeadline = (): void => {
    // Timers count whole milliseconds from the start of the event loop's turn, so they may fire early. The clock is
    // looked at once: between two looks the deadline could pass, and nobody would come back for the batch.
    if (batcher.deadline !== undefined && now() < batcher.deadline) armTimer();
    else adjust();
  };

  const deliver = (batch: SealedBatch): void => {
    if (isAnswered(batch)) {
      void publishAndSettle(batch);
      return;
    }
    batch.outcomes.forEach((outcome, environment) => {
      if (outcome !== undefined) return;
      port.deliver(environment, batch, {
        onSplit(split, recorded) {
          if (disposed) return;
          batch.splits[environment] = split;
          if (recorded !== undefined) awaitingCommit.push(recorded);
          markDirty(recorded !== undefined);
        },
        done(parts) {
          if (disposed) return;
          answer(batch, environment, parts);
          markDirty(false);
          if (isAnswered(batch)) void publishAndSettle(batch);
        },
      });
    });
  };

  const publishAndSettle = async (batch: SealedBatch): Promise<void> => {
    if (!batch.settled) await port.publish(batch);
    if (disposed) return;
    for (const { record } of batch.batch.events) room.remove(record);
    settle(batch);
    advanceBase();
    markDirty(false);
    adjust();
  };

  /** The committed offset passes settled batches only; with nothing pending, it goes up to where reading is. */
  const advanceBase = (): void => {
    let settledCount = 0;
    while (sealed[settledCount]?.settled) settledCount++;
    const last = sealed[settledCount - 1];
    if (last !== undefined) {
      base = last.last + 1;
      sealed = sealed.slice(settledCount);
    }
    if (sealed.length === 0 && batcher.openEvents === 0 && recutter.isDone) base = Math.max(base, position);
  };

  /** After any change: seals what is due, and pauses or resumes reading by the room that there is. */
  const adjust = (at?: number): void => {
    // Without room there is nothing to wait for: no event can join the open batch.
    if (room.isFull(1)) trySeal("events");
    if (!sealIfDue(at) || isBlocked()) setPaused(true);
    else if (!room.isFull(RESUME_SHARE) || recutter.isWithinRange) setPaused(false);
  };

  /** A range of the ledger is complete again. One that has to be recorded anew holds those after it back: their phones may be its own. */
  const addRebuilt = (batch: SealedBatch): void => {
    batch.recorded &&= sealed.every(({ recorded }) => recorded);
    sealed.push(batch);
    port.onSealed(batch, "ledger");
    if (batch.recorded) deliver(batch);
    else markDirty(true);
  };

  const recut = (record: SourceRecord, decoded: Decoded): boolean => {
    const { isStray } = recutter.offer(record, decoded);
    drainRecutter();
    return !isStray;
  };

  const drainRecutter = (): void => {
    for (const { batch, entry } of recutter.takeComplete()) {
      // A record that the ledger doesn't cover was added to the open batch; it must come before this one.
      if (batcher.openEvents > 0) sealStray();
      addRebuilt(rebuiltBatch(batch, entry));
    }
  };

  const sealStray = (): void => {
    const batch = sealedBatch(batcher.cut(), environments.length);
    sealed.push(batch);
    port.onSealed(batch, "ledger");
    markDirty(true);
  };

  return {
    number: scope.partition,
    get base() {
      return base;
    },
    get committedOffset() {
      return committedOffset;
    },
    get position() {
      return position;
    },
    get sealed() {
      return sealed;
    },
    get ledgerUsedRatio() {
      return ratioOf(spans());
    },
    get pendingEvents() {
      return room.events;
    },
    get paused() {
      return paused;
    },
    openOldestAskedAt: (environment) =>
      Math.min(batcher.oldestAskedAt(), recutter.oldestAskedAt(environment)),
    openEntries: (environment) => batcher.openEntries + recutter.openEntries(environment),
    offer(record, decoded) {
      if (disposed || !sealing) return false;
      // Taken already: the position never goes back.
      if (record.offset < position) return true;
      if (isBlocked()) {
        setPaused(true);
        return false;
      }
      if (!recutter.isDone && recut(record, decoded)) {
        room.add(record);
        position = record.offset + 1;
        return true;
      }
      const at = now();
      if (!sealIfDue(at) || !makeWayFor(decoded)) {
        setPaused(true);
        return false;
      }
      const isFirst = batcher.openEvents === 0;
      batcher.add(record, decoded, at);
      room.add(record);
      position = record.offset + 1;
      adjust(at);
      if (isFirst && batcher.openEvents > 0) armTimer();
      return true;
    },
    advance(next) {
      if (disposed) return;
      position = Math.max(position, next);
      recutter.advance(position);
      drainRecutter();
      advanceBase();
      if (base !== committed.base) markDirty(false);
    },
    snapshot() {
      if (disposed || !committed.dirty) return undefined;
      // Ranges still to be cut again stay in the ledger, with what is known of them.
      const carried = [...sealed];
      const offset = base;
      const ledger = [...carried, ...recutter.ranges];
      const metadata = encodeLedger(offset, ledger, environments, limits.maxLedgerChars);
      const released = awaitingCommit;
      awaitingCommit = [];
      committed = { base: offset, dirty: false };
      return {
        partition: scope.partition,
        offset,
        metadata,
        onCommitted() {
          committedOffset = offset;
          if (disposed) return;
          for (const batch of carried) {
            if (batch.recorded) continue;
            batch.recorded = true;
            port.onRecorded(batch);
            deliver(batch);
          }
          for (const release of released) release();
        },
        onFailed() {
          committed.dirty = true;
          awaitingCommit = [...released, ...awaitingCommit];
          if (!disposed) port.requestCommit(false);
        },
      };
    },
    recommit: () => markDirty(false),
    stopSealing() {
      sealing = false;
      clearTimeout(timer);
    },
    dispose() {
      disposed = true;
      clearTimeout(timer);
    },
  };
}

import ConsumerGroup from "kafkajs/src/consumer/consumerGroup.js";
import OffsetManager from "kafkajs/src/consumer/offsetManager/index.js";
import RequestQueue from "kafkajs/src/network/requestQueue/index.js";
import "./decoding-quirks.ts";

const CHECK_PENDING_INTERVAL_MS = 10;

/**
 * kafkajs 2.2.4 asks for a timer of about minus 1.7 trillion milliseconds after every request when nothing is throttled;
 * Node 24 and later warn of it on stderr. This is the same method without the needless timer: it waits for a throttle to
 * end, or looks again shortly, and only if requests are queued. Silencing the warning instead would hide everyone else's.
 */
export function mendRequestQueue(): void {
  RequestQueue.prototype.scheduleCheckPendingRequests = function () {
    if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return;
    const throttled = this.throttledUntil - Date.now();
    this.throttleCheckTimeoutId = setTimeout(
      () => {
        this.throttleCheckTimeoutId = null;
        this.checkPendingRequests();
      },
      throttled > 0 ? throttled : CHECK_PENDING_INTERVAL_MS,
    );
  };
}

const { leave, joinAndSync, fetch } = ConsumerGroup.prototype;

/**
 * When kafkajs 2.2.4 crashes or stops it leaves the group, waits for the answer, and only then tells of it. Its partitions
 * may be another member's by then. This has it tell before, by the event of a rebalance, which leaving one's group is.
 */
export function announceLeaving(): void {
  ConsumerGroup.prototype.leave = function () {
    const { groupId, memberId } = this;
    this.instrumentationEmitter.emit("consumer.rebalancing", { groupId, memberId });
    return leave.call(this);
  };
}

/** Members whose last attempt to join failed, perhaps halfway. */
const unsynced = new WeakSet<object>();
/** Attempts under way: each broker's fetcher may find out by itself. */
const joining = new WeakMap<object, Promise<void>>();

/**
 * A connection that breaks between JoinGroup and the answer to SyncGroup makes kafkajs 2.2.4 go on with the partitions it had.
 * Its heartbeats are fine, for it has joined, and so it never gets those it has now. This has it join again before it fetches.
 */
export function mendJoining(): void {
  ConsumerGroup.prototype.joinAndSync = async function () {
    unsynced.add(this);
    await joinAndSync.call(this);
    unsynced.delete(this);
  };
  ConsumerGroup.prototype.fetch = async function (nodeId) {
    if (unsynced.has(this)) {
      const attempt = joining.get(this) ?? this.joinAndSync().finally(() => joining.delete(this));
      joining.set(this, attempt);
      await attempt;
    }
    return fetch.call(this, nodeId);
  };
}

/**
 * Where records have expired, kafkajs 2.2.4 commits the default offset for its group, and with that wipes the ledger: batches
 * that were acknowledged would go out anew under other keys, should the process end before its next commit. This has it begin
 * at the default offset without a word to the group.
 */
export function mendOutOfRange(): void {
  OffsetManager.prototype.setDefaultOffset = async function ({ topic, partition }) {
    const asked = { topic, partitions: [{ partition }], ...this.topicConfigurations[topic] };
    const [answer] = await this.cluster.fetchTopicsOffset([asked]);
    const offset = answer?.partitions[0]?.offset;
    if (offset !== undefined)
      this.committedOffsets()[topic] = { ...this.committedOffsets()[topic], [partition]: offset };
    delete this.resolvedOffsets[topic]?.[partition];
  };
}

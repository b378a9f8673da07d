import { messageOf, OptoutError } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";
import { type CommitOffset, isFencedError, isMetadataTooLarge } from "./consumer.ts";

/** What a partition wants committed, taken at the moment of the commit. */
export interface CommitSnapshot extends CommitOffset {
  /** Called when the group coordinator has it. */
  onCommitted(): void;
  /** Called when it may not have it; the partition must ask again. */
  onFailed(): void;
}

export type CommitOutcome = "ok" | "fenced" | "failed";

export interface Committer {
  /** Asks for a commit soon: at once if `urgent` (a seal waits for it), else within `COALESCE_MS`. */
  request(urgent: boolean): void;
  /** Resolves when no commit is in flight. */
  idle(): Promise<void>;
  /** Commits what there is, once; for shutdown. */
  flush(): Promise<void>;
  close(): void;
}

export interface CommitterOptions {
  /** The dirty partitions' state; `isPartial` if there are more than go into one request. */
  collect(): { snapshots: CommitSnapshot[]; isPartial: boolean };
  /** Changes with every new assignment. */
  epoch(): unknown;
  commit(offsets: readonly CommitOffset[]): Promise<void>;
  onOutcome(outcome: CommitOutcome): void;
  /** This member's generation is over: every partition state is void. */
  onFenced(): void;
  /** The broker will never take this ledger, or kafkajs never answers. */
  onFatal(error: OptoutError): void;
  logger: Logger;
}

/**
 * Acknowledgements wait this long for company, also while a commit is in flight: one that followed at its heels would hold up
 * the next seal, which would have taken them along. Those younger than a commit may be asked for again after a crash.
 */
const COALESCE_MS = 25;
const RETRY_MS = 500;
/** kafkajs gives up a request after 15 s; a promise that it forgot would stop everything without a sign. */
const UNANSWERED_MS = 60_000;
/** A broker restart lasts many retries; one line in so many is enough. */
const FAILURES_PER_WARNING = 20;

/** Group commit: one OffsetCommit in flight, covering every partition that has something new. */
export function createCommitter(options: CommitterOptions): Committer {
  let inFlight: Promise<void> | undefined;
  let requested = false;
  let timer: NodeJS.Timeout | undefined;
  let timerAt = Number.POSITIVE_INFINITY;
  let failures = 0;
  let closed = false;

  const unschedule = (): void => {
    clearTimeout(timer);
    timerAt = Number.POSITIVE_INFINITY;
  };

  const schedule = (delay: number): void => {
    const at = performance.now() + delay;
    if (closed || at >= timerAt) return;
    clearTimeout(timer);
    timerAt = at;
    timer = setTimeout(() => {
      timerAt = Number.POSITIVE_INFINITY;
      start();
    }, delay);
  };

  const start = (): void => {
    if (closed) return;
    if (inFlight !== undefined) {
      requested = true;
      return;
    }
    requested = false;
    // Collected and sent in one synchronous stretch, so that no rejoin can come between.
    const { snapshots, isPartial } = options.collect();
    if (snapshots.length === 0) return;
    // Whatever waited for company has it: what comes from here on waits anew.
    unschedule();
    requested = isPartial;
    inFlight = send(snapshots).finally(() => {
      inFlight = undefined;
      if (requested && failures === 0) start();
    });
  };

  const send = async (snapshots: CommitSnapshot[]): Promise<void> => {
    const epoch = options.epoch();
    const watchdog = setTimeout(() => options.onFatal(unanswered()), UNANSWERED_MS);
    try {
      await options.commit(
        snapshots.map(({ partition, offset, metadata }) => ({ partition, offset, metadata })),
      );
      if (failures > 0) options.logger.info({ failures }, "offset commits work again");
      failures = 0;
      options.onOutcome("ok");
      for (const snapshot of snapshots) snapshot.onCommitted();
    } catch (error) {
      for (const snapshot of snapshots) snapshot.onFailed();
      onError(error, epoch);
    } finally {
      clearTimeout(watchdog);
    }
  };

  const onError = (error: unknown, epoch: unknown): void => {
    if (isFencedError(error)) {
      options.onOutcome("fenced");
      // A late answer to a commit of the assignment before says nothing of this one.
      if (epoch === options.epoch()) options.onFenced();
      // What has asked meanwhile may rely on a retry that this one was.
      else schedule(RETRY_MS);
      return;
    }
    options.onOutcome("failed");
    if (isMetadataTooLarge(error)) {
      options.onFatal(ledgerRefused());
      return;
    }
    if (failures % FAILURES_PER_WARNING === 0) {
      options.logger.warn(
        { error: messageOf(error) },
        "offset commit failed; it is retried, and nothing is sent before",
      );
    }
    failures++;
    // Those it was made for have asked again.
    unschedule();
    schedule(RETRY_MS);
  };

  return {
    request(urgent) {
      if (failures > 0) schedule(RETRY_MS);
      else if (urgent) start();
      else schedule(COALESCE_MS);
    },
    async idle() {
      while (inFlight !== undefined) await inFlight;
    },
    async flush() {
      while (inFlight !== undefined) await inFlight;
      unschedule();
      start();
      await inFlight;
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

const unanswered = (): OptoutError =>
  new OptoutError(
    "kafka_unreachable",
    `An offset commit had no answer for ${UNANSWERED_MS / 1000} s. Check the group's coordinator; the process ends so that it can be started afresh.`,
  );

const ledgerRefused = (): OptoutError =>
  new OptoutError(
    "ledger_capacity",
    "The broker refuses the ledger in the offset commit as too large. Set offset.metadata.max.bytes of the brokers to 4096 (its default) or more.",
  );

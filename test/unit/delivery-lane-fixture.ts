import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import type { TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Batch, createBatchBuilder } from "../../src/batching/batch.ts";
import type { Split } from "../../src/batching/split.ts";
import { complianceDnc } from "../../src/delivery/dialects/compliance-dnc.ts";
import type { HttpRequest, HttpResponse, HttpSend } from "../../src/delivery/dialects/dialect.ts";
import {
  type AttemptOutcome,
  createLane,
  type Lane,
  type LaneOptions,
  type PartOutcome,
} from "../../src/delivery/lane.ts";
import { createTokenSource } from "../../src/delivery/token-source.ts";
import { createLogger } from "../../src/observability/logger.ts";
import { optOut, phoneOf, recordAt, SCOPE } from "./batching-arbitraries.ts";

export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

/** One request about entries, as the environment sees it. */
export interface Received {
  key: string;
  body: string;
  phones: string[];
  token: string;
  /** Milliseconds of the test's clock. */
  at: number;
  signal: AbortSignal;
}

export const ok = (count: number): Reply => ({
  status: 201,
  headers: { "x-request-id": "r-1" },
  body: JSON.stringify({ success: true, entriesProcessed: count, duplicateCount: 0 }),
});

export const takeAll = ({ phones }: Received): Reply => ok(phones.length);

/** Answers what was given in turn, then takes everything. "cut" is a connection that ends without an answer. */
export const inTurn = (...replies: (Reply | "cut")[]): ((received: Received) => Reply) => {
  const left = [...replies];
  return (received) => {
    const reply = left.shift();
    if (reply === "cut") throw new Error("socket hang up");
    return reply ?? takeAll(received);
  };
};

/** Phones start at `first`; so do the offsets. */
export const batchOf = (count: number, { partition = 0, first = 0 } = {}): Batch => {
  const builder = createBatchBuilder({ ...SCOPE, partition });
  for (let index = first; index < first + count; index++) {
    builder.add(recordAt(index), optOut({ phone: phoneOf(index) }));
  }
  return builder.build();
};

const toResponse = ({ status, headers = {}, body = "" }: Reply): HttpResponse => ({
  status,
  header: (name) => headers[name],
  body,
});

const received = ({ headers, body, signal }: HttpRequest, at: number): Received => {
  const text = body.toString();
  const entries: { phone: string }[] = JSON.parse(text);
  return {
    key: headers["idempotency-key"] ?? "",
    body: text,
    phones: entries.map(({ phone }) => phone),
    token: (headers.authorization ?? "").replace("Bearer ", ""),
    at,
    signal,
  };
};

/** Rejects, as a socket does, when the request is aborted. */
const untilAborted = <T>(signal: AbortSignal, answer: Promise<T>): Promise<T> =>
  new Promise<T>((resolve, reject) => {
    setMaxListeners(0, signal);
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    answer.finally(() => signal.removeEventListener("abort", abort)).then(resolve, reject);
  });

export interface FixtureOptions extends Partial<LaneOptions> {
  /** What the environment answers to entries; an exception is a transport failure. */
  respond?(received: Received, nth: number): Reply | Promise<Reply>;
  /** What the token server answers; by default, a new token every time. */
  respondToken?(nth: number): Reply | Promise<Reply>;
  /** Of the quota, 0 to 1; default 1. */
  share?: number;
  /** From which level on lines are in `logs`; default debug. */
  logLevel?: string;
}

export interface TestDelivery {
  /** Undefined until it is done. */
  outcomes: PartOutcome[] | undefined;
  /** As the lane last told it. */
  split: Split;
  /** To be called when the split is recorded. */
  readonly unrecorded: (() => void)[];
}

export interface Fixture {
  lane: Lane;
  requests: Received[];
  attempts: AttemptOutcome[];
  rateWaits: number[];
  /** What the lane couldn't deal with. */
  defects: unknown[];
  logs: Record<string, unknown>[];
  readonly tokensIssued: number;
  /** Starts a delivery. `records` false: splits are recorded when the test says so. */
  deliver(batch: Batch, options?: { split?: Split; records?: boolean }): TestDelivery;
  /** Lets everything happen that needs no time. */
  settle(): Promise<void>;
  /** Moves the clock on, `step` milliseconds at a time. */
  advance(milliseconds: number, step?: number): Promise<void>;
}

/** A lane of the `compliance-dnc` dialect over a made-up network, on the test's own clock and timers. */
export function createFixture(t: TestContext, options: FixtureOptions = {}): Fixture {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 999_000 });
  const { respond = takeAll, respondToken, share = 1, logLevel = "debug", ...laneOptions } = options;
  const requests: Received[] = [];
  const attempts: AttemptOutcome[] = [];
  const rateWaits: number[] = [];
  const defects: unknown[] = [];
  const logs: Record<string, unknown>[] = [];
  let tokensIssued = 0;
  const now = () => Date.now();
  const auth = { clientId: "relay", clientSecret: "s3cret", scope: "dnc:write" };
  const dialect = complianceDnc.create({
    environment: {
      name: "production",
      baseUrl: "http://environment",
      requestsPerSecond: 1e6,
      maxConcurrency: 64,
      requestTimeout: 30_000,
      retry: { initialBackoff: 1_000, maxBackoff: 60_000 },
      auth,
    },
    auth: () => auth,
    now,
  });
  const freshToken = (nth: number): Reply => ({
    status: 200,
    body: JSON.stringify({ access_token: `t${nth}`, token_type: "Bearer", expires_in: 3600 }),
  });

  const answer = async (request: HttpRequest): Promise<Reply> => {
    if (request.url.endsWith("/oauth/token")) return (respondToken ?? freshToken)(++tokensIssued);
    const what = received(request, now());
    requests.push(what);
    return respond(what, requests.length);
  };
  const send: HttpSend = async (request) => {
    request.signal.throwIfAborted();
    return toResponse(await untilAborted(request.signal, answer(request)));
  };

  const lane = createLane({
    name: "production",
    requestsPerSecond: 1e6,
    maxConcurrency: 64,
    retry: { initialBackoff: 1_000, maxBackoff: 60_000 },
    dialect,
    send,
    tokens: createTokenSource({
      fetchToken: (signal) => dialect.requestToken(send, signal),
      onRefresh() {},
      now,
    }),
    events: {
      onAttempt: (outcome) => attempts.push(outcome),
      onRateWait: (seconds) => rateWaits.push(seconds),
      onDefect: (error) => defects.push(error),
    },
    logger: createLogger(
      { level: logLevel, format: "json" },
      { write: (line) => logs.push(JSON.parse(line)) },
    ),
    maySend: () => true,
    now,
    random: () => 0.5,
    ...laneOptions,
  });
  t.after(() => lane.reset());
  lane.setShare(share);
  // A burst's worth of tokens.
  t.mock.timers.tick(1_000);

  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) await nextTurn();
  };
  return {
    lane,
    requests,
    attempts,
    rateWaits,
    defects,
    logs,
    get tokensIssued() {
      return tokensIssued;
    },
    deliver(batch, { split = "pending", records = true } = {}) {
      const delivery: TestDelivery = { outcomes: undefined, split, unrecorded: [] };
      lane.deliver({
        scope: { ...SCOPE, partition: batch.partition },
        batch,
        split,
        onSplit(next, recorded) {
          delivery.split = next;
          if (recorded === undefined) return;
          if (records) queueMicrotask(recorded);
          else delivery.unrecorded.push(recorded);
        },
        done(outcomes) {
          assert.equal(delivery.outcomes, undefined, "done was called twice");
          delivery.outcomes = outcomes;
        },
      });
      return delivery;
    },
    settle,
    async advance(milliseconds, step = milliseconds) {
      for (let passed = 0; passed < milliseconds; passed += step) {
        t.mock.timers.tick(Math.min(step, milliseconds - passed));
        await settle();
      }
    },
  };
}

/** Asserts that the parts cover the batch without gap or overlap; answers, per entry, whether it was accepted. */
export function acceptance(batch: Batch, outcomes: readonly PartOutcome[] | undefined): boolean[] {
  assert.ok(outcomes !== undefined, "the delivery isn't done");
  const accepted: (boolean | undefined)[] = batch.entries.map(() => undefined);
  for (const part of outcomes) {
    assert.ok(part.from < part.to);
    for (let index = part.from; index < part.to; index++) {
      assert.equal(accepted[index], undefined, `entry ${index} has two outcomes`);
      accepted[index] = part.accepted;
    }
  }
  return accepted.map((flag, index) => {
    assert.ok(flag !== undefined, `entry ${index} has no outcome`);
    return flag;
  });
}

/** A promise that the test settles. */
export function deferred<T>(): { promise: Promise<T>; resolve(value: T): void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve: (value) => resolve(value) };
}

/** An environment that answers when the test says so. */
export const held = (): {
  waiting: { received: Received; give(reply?: Reply): void }[];
  respond(received: Received): Promise<Reply>;
  giveAll(reply?: Reply): void;
} => {
  const waiting: { received: Received; give(reply?: Reply): void }[] = [];
  return {
    waiting,
    respond(received: Received): Promise<Reply> {
      const { promise, resolve } = deferred<Reply>();
      waiting.push({ received, give: (reply) => resolve(reply ?? takeAll(received)) });
      return promise;
    },
    giveAll(reply?: Reply): void {
      for (const { give } of waiting.splice(0)) give(reply);
    },
  };
};

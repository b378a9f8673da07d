import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../observability/logger.ts";
import { orAbort } from "./abort.ts";
import {
  type FoundReferences,
  fetchSchema,
  type RegistryConnection,
  type RegistrySchema,
  type SchemaAnswer,
  type SchemaId,
} from "./registry-client.ts";

/**
 * What is known of the registry's schemas, by id or GUID. A registry that is down is no reason to reject a record: `load`
 * lasts until there is an answer.
 *
 *            get: undefined ── load ──► (asked again and again, with backoff)
 *                 ▲                          │ answered; a refusal, twice
 *                 │ after 30 s, or evicted   ▼
 *                 └──── "unknown", "unusable" or a schema, which never changes under its id
 */
export interface SchemaCache {
  /** undefined: not known yet, or not any more; `load` it. */
  get(id: SchemaId): RegistrySchema | "unknown" | "unusable" | undefined;
  /**
   * Resolves once `get` has an answer; concurrent calls for an id share one request.
   * Rejects with the signal's reason if it aborts, and when the cache is closed.
   */
  load(id: SchemaId, signal?: AbortSignal): Promise<void>;
  /** Ends all that waits. */
  close(): void;
}

export interface SchemaCacheOptions {
  registry: RegistryConnection;
  /** For one request, in milliseconds. */
  requestTimeoutMs: number;
  logger: Logger;
  /** Milliseconds of a clock that only goes forward. */
  now?: () => number;
  /** Milliseconds; the wait before an attempt is drawn from 0 to the smaller of `maximum` and `initial` × 2ⁿ. */
  backoff?: { initial: number; maximum: number };
  random?: () => number;
  /** Milliseconds from the first refusal of an id to the question that confirms it. */
  confirmAfterMs?: number;
}

/**
 * Milliseconds. A registry of several nodes may answer from one that has not heard yet of a schema just registered;
 * believing it would reject a valid record for good.
 */
export const CONFIRM_AFTER_MS = 2_000;

/** A missing schema may be registered any moment: ask again, but not for every record of a flood. */
const REFUSAL_TTL_MS = 30_000;
/** Ids come from the records, so garbage can make up any number of them. */
const MAX_ENTRIES = 1_000;
const WARN_EVERY_MS = 30_000;

type Known = Exclude<SchemaAnswer, { why: string }>;

interface Flight {
  promise: Promise<void>;
  controller: AbortController;
  waiters: number;
}

export function createSchemaCache(options: SchemaCacheOptions): SchemaCache {
  const { registry, requestTimeoutMs, logger } = options;
  const now = options.now ?? (() => performance.now());
  const random = options.random ?? Math.random;
  const backoff = options.backoff ?? { initial: 250, maximum: 10_000 };
  const confirmAfterMs = options.confirmAfterMs ?? CONFIRM_AFTER_MS;
  /** In order of last use, for eviction. */
  const entries = new Map<SchemaId, { known: Known; staleAt: number }>();
  const flights = new Map<SchemaId, Flight>();
  const closed = new AbortController();
  let warnedAt: number | undefined;

  function get(id: SchemaId): Known | undefined {
    const entry = entries.get(id);
    if (entry === undefined) return undefined;
    entries.delete(id);
    if (entry.staleAt <= now()) return undefined;
    entries.set(id, entry);
    return entry.known;
  }

  function remember(id: SchemaId, known: Known): void {
    entries.delete(id);
    entries.set(id, { known, staleAt: typeof known === "string" ? now() + REFUSAL_TTL_MS : Infinity });
    const [oldest] = entries.keys();
    if (entries.size > MAX_ENTRIES && oldest !== undefined) entries.delete(oldest);
  }

  function warn(schemaId: SchemaId, why: string): void {
    if (warnedAt !== undefined && now() - warnedAt < WARN_EVERY_MS) return;
    warnedAt = now();
    logger.warn(
      { schemaId, why },
      "The schema registry gives no usable answer. Records that need this schema wait for it; none is rejected. Check that the registry is up, and the schemaRegistry settings.",
    );
  }

  function answered(): void {
    if (warnedAt !== undefined) logger.info("The schema registry answers again.");
    warnedAt = undefined;
  }

  async function fetchUntilAnswered(id: SchemaId, signal: AbortSignal): Promise<void> {
    let refused = false;
    const found: FoundReferences = new Map();
    for (let attempt = 0; ; attempt += 1) {
      const answer = await fetchSchema(registry, id, { timeoutMs: requestTimeoutMs, signal, found });
      signal.throwIfAborted();
      let wait = random() * Math.min(backoff.maximum, backoff.initial * 2 ** attempt);
      if (typeof answer === "string" || "decode" in answer) {
        answered();
        if (typeof answer !== "string" || refused) return remember(id, answer);
        refused = true;
        // What confirms it is asked anew.
        found.clear();
        wait = confirmAfterMs;
      } else {
        warn(id, answer.why);
      }
      await sleep(wait, undefined, { signal });
    }
  }

  function takeOff(id: SchemaId): Flight {
    const controller = new AbortController();
    const promise = fetchUntilAnswered(id, AbortSignal.any([controller.signal, closed.signal]));
    const flight = { promise, controller, waiters: 0 };
    flights.set(id, flight);
    promise.catch(() => {}).finally(() => forget(id, flight));
    return flight;
  }

  function forget(id: SchemaId, flight: Flight): void {
    if (flights.get(id) === flight) flights.delete(id);
  }

  async function load(id: SchemaId, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    closed.signal.throwIfAborted();
    if (get(id) !== undefined) return;
    const flight = flights.get(id) ?? takeOff(id);
    flight.waiters += 1;
    try {
      await orAbort(flight.promise, signal);
    } finally {
      flight.waiters -= 1;
      if (flight.waiters === 0) {
        forget(id, flight);
        flight.controller.abort();
      }
    }
  }

  return { get, load, close: () => closed.abort(new Error("the schema cache is closed")) };
}

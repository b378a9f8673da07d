/** `other`: discovery and reading. */
export type RequestKind = "token" | "entries" | "other";

/** One request as it reached an environment: the ground truth of what a client sent. */
export interface RequestRecord {
  /** When the request was fully received (an outage: begun), ISO 8601 with milliseconds. */
  at: string;
  kind: RequestKind;
  /** Below the environment's own, without the query. */
  path: string;
  /** `Idempotency-Key`. */
  key: string | null;
  /** Trace context that the client sent along (W3C). */
  traceparent: string | null;
  /** Hex, of the exact body. null for tokens, whose body is a secret, and where the body was not received. */
  sha256: string | null;
  /** 0: the connection was cut, by whichever side, before the answer. null: not answered yet. */
  status: number | null;
  /** How many entries the body held. */
  entries: number;
  /** Answered from memory: nothing was applied again. */
  replayed: boolean;
  /** The entries were put on the list by this request, answered or not; a short acknowledgement applies fewer. */
  applied: boolean;
}

export interface RequestLog {
  append(record: RequestRecord): void;
  /** Oldest first. */
  all(): RequestRecord[];
  /** Requests held, at most the limit. */
  readonly size: number;
}

/** Keeps the last `limit` requests. */
export const createRequestLog = (limit: number): RequestLog => {
  const ring: RequestRecord[] = [];
  let oldest = 0;

  return {
    append(record) {
      if (ring.length < limit) {
        ring.push(record);
        return;
      }
      ring[oldest] = record;
      oldest = (oldest + 1) % limit;
    },
    all: () => [...ring.slice(oldest), ...ring.slice(0, oldest)].map((record) => ({ ...record })),
    get size() {
      return ring.length;
    },
  };
};

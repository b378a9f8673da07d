import { setMaxListeners } from "node:events";
import { Pool } from "undici";
import { OptoutError } from "../errors.ts";
import type { HttpResponse, HttpSend } from "./dialects/dialect.ts";
import { type Exchange, startExchange } from "./exchange.ts";

const CONNECT_TIMEOUT_MS = 10_000;
/** Idle sockets are dropped before most load balancers (60 s and more) would do it under a request. */
const KEEP_ALIVE_MS = 30_000;
/** Of one environment: its API, its token server, and what discovery may name in their stead. */
const MAX_ORIGINS = 8;

export interface HttpClient {
  send: HttpSend;
  close(): Promise<void>;
}

export interface HttpClientOptions {
  /** Most sockets for each origin. */
  connections: number;
  /** Milliseconds, for each request from first byte to last. */
  timeout: number;
}

/**
 * A pool of sockets for each origin. Not undici's Agent: that makes another pool whenever the last socket of one is cut,
 * while the requests waiting in the old one go on to open sockets, many times `connections` of them.
 */
function createPools({ connections, timeout }: HttpClientOptions) {
  const pools = new Map<string, { pool: Pool; underWay: number }>();
  let latest = "";
  let isClosed = false;

  const openPool = (origin: string): Pool =>
    new Pool(origin, {
      connections,
      pipelining: 1,
      connect: { timeout: Math.min(CONNECT_TIMEOUT_MS, timeout) },
      headersTimeout: timeout,
      bodyTimeout: timeout,
      keepAliveTimeout: KEEP_ALIVE_MS,
    });

  const take = (origin: string) => {
    if (isClosed) throw new OptoutError("internal", "the HTTP client is closed");
    const entry = pools.get(origin) ?? { pool: openPool(origin), underWay: 0 };
    if (origin === latest && pools.has(origin)) return entry;
    // Again at the end: the first is the one that was used least recently.
    latest = origin;
    pools.delete(origin);
    pools.set(origin, entry);
    const [oldest] = pools;
    if (pools.size > MAX_ORIGINS && oldest !== undefined) {
      pools.delete(oldest[0]);
      oldest[1].pool.close().catch(() => {});
    }
    return entry;
  };

  return {
    /** Runs a request, body included. Once it was given up and no other is under way, the pool's sockets go. */
    async use(origin: string, start: (pool: Pool) => Exchange): Promise<HttpResponse> {
      const entry = take(origin);
      entry.underWay++;
      const exchange = start(entry.pool);
      try {
        return await exchange.answer;
      } finally {
        entry.underWay--;
        // undici connects anew for each request that was aborted: sockets that nobody asked for.
        if (exchange.isGivenUp && entry.underWay === 0) {
          if (pools.get(origin) === entry) pools.delete(origin);
          entry.pool.destroy().catch(() => {});
        }
      }
    },
    async close(): Promise<void> {
      isClosed = true;
      await Promise.all([...pools.values()].map(({ pool }) => pool.destroy()));
    },
  };
}

/** Redirects aren't followed: a list must not be sent elsewhere. */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const pools = createPools(options);

  const send: HttpSend = async ({ method, url, headers, body, signal }) => {
    signal.throwIfAborted();
    // Many requests share one signal, each listening while it is under way: no leak, so no warning of one.
    setMaxListeners(0, signal);
    const { origin, pathname, search } = new URL(url);
    const request = { method, headers, body, path: pathname + search };
    return pools.use(origin, (pool) => startExchange(pool, request, { signal, timeout: options.timeout }));
  };

  return { send, close: pools.close };
}

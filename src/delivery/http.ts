import { setMaxListeners } from "node:events";
import { type Dispatcher, Pool } from "undici";
import { OptoutError } from "../errors.ts";
import type { HttpSend } from "./dialects/dialect.ts";

/** More than any answer of these APIs; what is beyond is read and thrown away, so the socket can be used again. */
export const MAX_RESPONSE_BYTES = 256 * 1024;
/** Past this the connection is cut instead of drained. */
const MAX_DRAINED_BYTES = 4 * 1024 * 1024;
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

async function readBounded(body: Dispatcher.ResponseData["body"]): Promise<string> {
  const chunks: Buffer[] = [];
  let kept = 0;
  let seen = 0;
  for await (const chunk of body) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
    seen += bytes.length;
    if (seen > MAX_DRAINED_BYTES) break;
    const room = MAX_RESPONSE_BYTES - kept;
    if (room > 0) {
      chunks.push(bytes.subarray(0, room));
      kept += Math.min(room, bytes.length);
    }
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * A pool of sockets for each origin. Not undici's Agent: that makes another pool whenever the last socket of one is cut,
 * while the requests waiting in the old one go on to open sockets, many times `connections` of them.
 */
function createPools({ connections, timeout }: HttpClientOptions) {
  const pools = new Map<string, { pool: Pool; underWay: number }>();
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
    // Again at the end: the first is the one that was used least recently.
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
    /** Runs a request, body included. Once its signal was aborted and no other is under way, the pool's sockets go. */
    async use<T>(origin: string, signal: AbortSignal, request: (pool: Pool) => Promise<T>): Promise<T> {
      const entry = take(origin);
      entry.underWay++;
      try {
        return await request(entry.pool);
      } finally {
        entry.underWay--;
        // undici connects anew for each request that was aborted: sockets that nobody asked for.
        if (signal.aborted && entry.underWay === 0) {
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
    const controller = new AbortController();
    const abort = () => controller.abort(signal.reason);
    const timer = setTimeout(
      () => controller.abort(new OptoutError("internal", `no answer within ${options.timeout} ms`)),
      options.timeout,
    );
    signal.addEventListener("abort", abort, { once: true });
    try {
      const { origin, pathname, search } = new URL(url);
      return await pools.use(origin, controller.signal, async (pool) => {
        const request = { method, headers, body, signal: controller.signal };
        const response = await pool.request({ ...request, path: pathname + search });
        const text = await readBounded(response.body);
        return {
          status: response.statusCode,
          header: (name: string) => {
            const value = response.headers[name];
            return Array.isArray(value) ? value[0] : value;
          },
          body: text,
        };
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  };

  return { send, close: pools.close };
}

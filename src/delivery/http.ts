import { setMaxListeners } from "node:events";
import { Agent, type Dispatcher } from "undici";
import { OptoutError } from "../errors.ts";
import type { HttpSend } from "./dialects/dialect.ts";

/** More than any answer of these APIs; what is beyond is read and thrown away, so the socket can be used again. */
export const MAX_RESPONSE_BYTES = 256 * 1024;
/** Past this the connection is cut instead of drained. */
const MAX_DRAINED_BYTES = 4 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
/** Idle sockets are dropped before most load balancers (60 s and more) would do it under a request. */
const KEEP_ALIVE_MS = 30_000;

export interface HttpClient {
  send: HttpSend;
  close(): Promise<void>;
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
 * A pool of at most `connections` sockets an origin. Redirects aren't followed: a list must not be sent elsewhere.
 * `timeout`, in milliseconds, bounds each request from first byte to last.
 */
export function createHttpClient(options: { connections: number; timeout: number }): HttpClient {
  const agent = new Agent({
    connections: options.connections,
    pipelining: 1,
    connect: { timeout: Math.min(CONNECT_TIMEOUT_MS, options.timeout) },
    headersTimeout: options.timeout,
    bodyTimeout: options.timeout,
    keepAliveTimeout: KEEP_ALIVE_MS,
  });

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
      const target = new URL(url);
      const response = await agent.request({
        origin: target.origin,
        path: target.pathname + target.search,
        method,
        headers,
        body,
        signal: controller.signal,
      });
      const text = await readBounded(response.body);
      return {
        status: response.statusCode,
        header: (name) => {
          const value = response.headers[name];
          return Array.isArray(value) ? value[0] : value;
        },
        body: text,
      };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  };

  return { send, close: () => agent.destroy() };
}

import type { Dispatcher, Pool } from "undici";
import { OptoutError } from "../errors.ts";
import type { HttpResponse } from "./dialects/dialect.ts";

/** More than any answer of these APIs; what is beyond is read and thrown away, so the socket can be used again. */
export const MAX_RESPONSE_BYTES = 256 * 1024;
/** Past this the connection is cut instead of drained. */
const MAX_DRAINED_BYTES = 4 * 1024 * 1024;

export interface ExchangeOptions {
  signal: AbortSignal;
  /** Milliseconds, from the wait for a connection to the answer's last byte. */
  timeout: number;
}

/** One request and its answer. */
export interface Exchange {
  /** Rejects on transport failure; and with the signal's reason, or with that of the timeout, once it is given up. */
  readonly answer: Promise<HttpResponse>;
  /** Aborted, or out of time. */
  readonly isGivenUp: boolean;
}

/** Keeps the beginning of a body, and counts what comes after it. */
function boundedBody() {
  const chunks: Buffer[] = [];
  let kept = 0;
  let seen = 0;
  return {
    /** False if there is more than is worth waiting for. */
    add(chunk: Buffer): boolean {
      seen += chunk.length;
      const room = MAX_RESPONSE_BYTES - kept;
      if (seen <= MAX_DRAINED_BYTES && room > 0) {
        chunks.push(chunk.subarray(0, room));
        kept += Math.min(room, chunk.length);
      }
      return seen <= MAX_DRAINED_BYTES;
    },
    text: (): string =>
      (chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)).toString("utf8"),
  };
}

/**
 * On undici's handlers and not its `request`, which makes a stream of every body and wants an AbortSignal of its own, at twice
 * the processor time for answers as small as these.
 */
export function startExchange(
  pool: Pool,
  request: Dispatcher.DispatchOptions,
  { signal, timeout }: ExchangeOptions,
): Exchange {
  /** undici has none to give while the request waits for a connection. */
  let controller: Dispatcher.DispatchController | undefined;
  let givenUp: { reason: Error } | undefined;

  const giveUp = (reason: Error): void => {
    givenUp ??= { reason };
    controller?.abort(givenUp.reason);
  };
  const onAbort = () => giveUp(signal.reason);

  const answer = new Promise<HttpResponse>((resolve, reject) => {
    const timer = setTimeout(
      () => giveUp(new OptoutError("internal", `no answer within ${timeout} ms`)),
      timeout,
    );
    signal.addEventListener("abort", onAbort);
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };

    const body = boundedBody();
    let status = 0;
    let fields: Record<string, string | string[] | undefined> = {};
    const complete = (): void => {
      end();
      const header = (name: string): string | undefined => {
        const value = fields[name];
        return Array.isArray(value) ? value[0] : value;
      };
      resolve({ status, header, body: body.text() });
    };

    pool.dispatch(request, {
      onRequestStart(started) {
        controller = started;
        if (givenUp !== undefined) started.abort(givenUp.reason);
      },
      onResponseStart(_, statusCode, headers) {
        status = statusCode;
        fields = headers;
      },
      onResponseData(_, chunk) {
        if (body.add(chunk)) return;
        complete();
        controller?.abort(new OptoutError("internal", "the answer is too long"));
      },
      onResponseEnd: complete,
      onResponseError(_, error) {
        end();
        reject(givenUp?.reason ?? error);
      },
    });
  });

  return {
    answer,
    get isGivenUp() {
      return givenUp !== undefined;
    },
  };
}

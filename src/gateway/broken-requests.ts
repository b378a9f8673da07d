import { type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type Reason, refusal, statusOf } from "./answers.ts";
import type { GatewayMetrics } from "./metrics.ts";

const CLIENT_ERRORS: Record<string, [reason: Reason, detail: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: ["request_timeout", "the request took too long to arrive"],
  HPE_HEADER_OVERFLOW: ["headers_too_large", "the headers are larger than 16 KiB"],
};

/** The requests that are being answered, by connection: what breaks a connection must not be taken for their answer. */
export interface Exchanges {
  /** Known until it is sent, or its caller is gone. */
  add(response: ServerResponse): void;
  /**
   * Answers bytes that are no request, and ends the connection. If they come behind a request that is there as a whole,
   * its own answer is the last of the connection instead: it may be an opt-out that is on its way to Kafka.
   */
  answerBroken(error: NodeJS.ErrnoException, socket: Socket): void;
}

export function createExchanges(metrics: Pick<GatewayMetrics, "rejected">): Exchanges {
  const bySocket = new WeakMap<Socket, Set<ServerResponse>>();

  return {
    add(response) {
      const { socket } = response.req;
      const open = bySocket.get(socket) ?? new Set();
      bySocket.set(socket, open.add(response));
      response.once("close", () => open.delete(response));
    },
    answerBroken(error, socket) {
      if (error.code === "ECONNRESET" || socket.destroyed) return;
      const open = [...(bySocket.get(socket) ?? [])];
      // They are answered in the order they came.
      const last = open.filter(({ req, headersSent }) => req.complete || headersSent).at(-1);
      if (last === undefined) answerByHand(error, socket, metrics);
      else if (last.headersSent) socket.destroySoon();
      else last.setHeader("connection", "close");
    },
  };
}

/** There is no request yet to reply to, so the answer is written by hand. */
function answerByHand(
  error: NodeJS.ErrnoException,
  socket: Socket,
  metrics: Pick<GatewayMetrics, "rejected">,
): void {
  const [reason, detail] = CLIENT_ERRORS[error.code ?? ""] ?? ["bad_request", "this is not HTTP/1.1"];
  metrics.rejected.inc({ reason });
  const status = statusOf(reason);
  const body = JSON.stringify(refusal(reason, detail));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    "cache-control: no-store",
    "x-content-type-options: nosniff",
    "connection: close",
  ];
  if (socket.writable) socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
  socket.destroySoon();
}

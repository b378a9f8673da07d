import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage } from "node:http";
import { z } from "zod";

/**
 * Who sent a request. Each process of a run reaches the simulator at a loopback address of its own, and the simulator's log
 * has room for a header that no process of a run sends: so each request is given one, with the address and the time, when
 * its first bytes have come in.
 */
const HEADER = "traceparent";
const CHANNEL = "http.server.request.start";
/** Only Linux answers at all of 127.0.0.0/8 without being told to. */
const HAS_LOOPBACK_NET = process.platform === "linux";
const FIRST_HOST = 10;

/** Where the simulator must listen to be reached at these addresses. */
export const SIMULATOR_HOST = HAS_LOOPBACK_NET ? "0.0.0.0" : "127.0.0.1";

/** The address at which the process of that number reaches the simulator. */
export const addressOf = (process: number): string =>
  HAS_LOOPBACK_NET ? `127.0.${1 + Math.floor(process / 200)}.${FIRST_HOST + (process % 200)}` : "127.0.0.1";

const Started = z.object({ request: z.custom<IncomingMessage>() });

function mark(message: unknown): void {
  const { request } = Started.parse(message);
  request.headers[HEADER] = `${request.socket.localAddress ?? ""} ${Date.now()}`;
}

/** From now on, until the answer is called. */
export function markSenders(): () => void {
  subscribe(CHANNEL, mark);
  return () => {
    unsubscribe(CHANNEL, mark);
  };
}

/** Address and time of arrival, as `mark` wrote them. */
export function readMark(traceparent: string | null): { address: string; at: number } | undefined {
  const [address = "", at] = (traceparent ?? "").split(" ");
  return at === undefined ? undefined : { address, at: Number(at) };
}

/** Null where that can't be told. */
export const senderOf = (address: string, names: ReadonlyMap<string, string>): string | null =>
  HAS_LOOPBACK_NET ? (names.get(address.replace(/^::ffff:/, "")) ?? null) : null;

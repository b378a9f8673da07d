import { readdirSync, readlinkSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";

/** A connection on which anything may be said. */
export interface RawConnection {
  readonly socket: Socket;
  /** What came back so far. */
  received(): string;
  /** Resolves when it has ended, by whomever. */
  readonly closed: Promise<void>;
  readonly isClosed: boolean;
}

const KEPT_BYTES = 256 * 1024;

/** Connects and writes these bytes. Of what comes back, the first 256 KiB are kept. */
export function say(url: string, bytes: string | Buffer = ""): RawConnection {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  let kept = 0;
  let isClosed = false;
  socket.on("data", (chunk: Buffer) => {
    if (kept < KEPT_BYTES) chunks.push(chunk);
    kept += chunk.length;
  });
  // A reset is an end like any other.
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      isClosed = true;
      resolve();
    });
  });
  if (bytes.length > 0) socket.write(bytes);
  return {
    socket,
    received: () => Buffer.concat(chunks).toString("latin1"),
    closed,
    get isClosed() {
      return isClosed;
    },
  };
}

export interface Asked {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

/** A caller as callers should be: one connection, kept alive. */
export function createCaller(url: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    /** Resolves with the status. */
    ask: ({ method = "GET", path, headers = {}, body }: Asked): Promise<number> =>
      new Promise((resolve, reject) => {
        const sent = request(new URL(path, url), { method, headers, agent }, (response) => {
          response.resume();
          response.once("end", () => resolve(response.statusCode ?? 0));
          response.once("error", reject);
        });
        sent.once("error", reject);
        sent.end(body);
      }),
    close: () => agent.destroy(),
  };
}

/** Of a process of this machine: how many of its file descriptors are sockets. Linux only. */
export const socketsOf = (pid: number): number =>
  readdirSync(`/proc/${pid}/fd`).filter((descriptor) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${descriptor}`).startsWith("socket:");
    } catch {
      // It was closed meanwhile.
      return false;
    }
  }).length;

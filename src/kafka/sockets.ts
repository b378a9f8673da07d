import { isIP, connect as netConnect, type Socket } from "node:net";
import { type ConnectionOptions, connect as tlsConnect } from "node:tls";
import type { ISocketFactoryArgs } from "kafkajs";

const KEEP_ALIVE_MS = 60_000;

/** What connections are cut with by `close`. */
export const CLOSED = "this client is closed";

/** The connections of one kafkajs client: as kafkajs makes them itself, but without Nagle's delay, and countable. */
export interface SocketPool {
  connect(target: ISocketFactoryArgs): Socket;
  /** Cuts every connection and refuses new ones. */
  close(): void;
}

/** @param tls gives the options of the next TLS connection; absent: connections are plain. */
export function createSocketPool(tls?: () => ConnectionOptions): SocketPool {
  const sockets = new Set<Socket>();
  let closed = false;
  return {
    connect({ host, port, onConnect }) {
      if (closed) throw new Error(CLOSED);
      const servername = isIP(host) === 0 ? { servername: host } : {};
      const socket = tls
        ? tlsConnect({ host, port, ...servername, ...tls() }, onConnect)
        : netConnect({ host, port }, onConnect);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      return socket;
    },
    close() {
      closed = true;
      // With an error: kafkajs takes notice of no other way to lose a connection than this and the other side's end.
      for (const socket of sockets) socket.destroy(new Error(CLOSED));
    },
  };
}

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo, Socket, Server as TcpServer } from "node:net";
import type { TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { HttpRequest, HttpResponse } from "../../src/delivery/dialects/dialect.ts";
import { createHttpClient, type HttpClient } from "../../src/delivery/http.ts";

/** Far more than any of these requests takes. */
export const PATIENCE_MS = 10_000;

const socketsOf = new WeakMap<Server | TcpServer, Set<Socket>>();

export const listen = async (t: TestContext, server: Server | TcpServer): Promise<string> => {
  const sockets = new Set<Socket>();
  socketsOf.set(server, sockets);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    if ("closeAllConnections" in server) server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return `http://127.0.0.1:${port}`;
};

export const serve = async (
  t: TestContext,
  listener: RequestListener,
): Promise<{ url: string; server: Server }> => {
  const server = createServer(listener);
  return { url: await listen(t, server), server };
};

export const clientOf = (
  t: TestContext,
  options: { connections?: number; timeout?: number } = {},
): HttpClient => {
  const client = createHttpClient({ connections: 4, timeout: PATIENCE_MS, ...options });
  t.after(() => client.close());
  return client;
};

export const post = (
  client: HttpClient,
  url: string,
  { signal = new AbortController().signal, ...rest }: Partial<HttpRequest> = {},
): Promise<HttpResponse> => client.send({ method: "POST", url, headers: {}, body: "[]", signal, ...rest });

export const connectionsOf = (server: Server | TcpServer): Promise<number> =>
  new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });

/** Waits for what the other end of a socket will see soon. */
export const until = async (isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> => {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isTrue())) {
    assert.ok(performance.now() < deadline, `${what} didn't happen`);
    await nextTurn();
  }
};

/** undici connects again after a request was aborted; such a connection has carried nothing and waits for the next. */
export const noUsedConnections = (server: Server | TcpServer): Promise<void> =>
  until(
    () => [...(socketsOf.get(server) ?? [])].every(({ bytesRead }) => bytesRead === 0),
    "the end of all connections that carried a request",
  );

export const noConnections = (server: Server | TcpServer): Promise<void> =>
  until(async () => (await connectionsOf(server)) === 0, "the end of all connections");

import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createServer as createTcpServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { MAX_RESPONSE_BYTES } from "../../src/delivery/exchange.ts";
import type { HttpClient } from "../../src/delivery/http.ts";
import { clientOf, listen, noConnections, noUsedConnections, post, until } from "./delivery-http-fixture.ts";

const CONNECTIONS = 4;
/** Of the requests that only time can end; short, since there are many. */
const TIMEOUT_MS = 150;

type Behaviour = (socket: Socket) => void;

/** Writes for as long as the other end takes it. */
function pour(socket: Socket, what: string | Buffer): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(what));
  };
  socket.on("drain", more);
  more();
}

/** Writes a little at a time, for ever. */
function drip(socket: Socket, what: string): void {
  const timer = setInterval(() => socket.write(what), 10);
  socket.on("close", () => clearInterval(timer));
}

const HEAD = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${HEAD}transfer-encoding: chunked\r\n\r\n`;
const LARGE = "x".repeat(64 * 1024);

/** What a server can do to a client, by whether an answer comes of it. */
const ANSWERED: Record<string, Behaviour> = {
  "no length: the body ends with the connection": (socket) => socket.end(`${HEAD}\r\nx`),
  "an error page": (socket) =>
    socket.write(`HTTP/1.1 500 No\r\ncontent-length: ${LARGE.length}\r\n\r\n${LARGE}`),
  "an error page that goes on for ever": (socket) => {
    socket.write("HTTP/1.1 502 Bad Gateway\r\ntransfer-encoding: chunked\r\n\r\n");
    pour(socket, `${LARGE.length.toString(16)}\r\n${LARGE}\r\n`);
  },
  "a body far larger than its bound": (socket) => {
    socket.write(`${HEAD}content-length: ${2 ** 40}\r\n\r\n`);
    pour(socket, LARGE);
  },
  "a whole answer, and the connection closed": (socket) =>
    socket.end(`${HEAD}connection: close\r\ncontent-length: 1\r\n\r\nx`),
  "a whole answer, and then more that nobody asked for": (socket) =>
    socket.write(`${HEAD}content-length: 1\r\n\r\nx${HEAD}content-length: 1\r\n\r\ny`),
  "HTTP 1.0": (socket) => socket.end("HTTP/1.0 200 OK\r\n\r\nx"),
  "a refusal before the body was read": (socket) => {
    socket.pause();
    socket.end("HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  },
};

/** The next request may be on its way already. */
const resetAfterAnswer: Behaviour = (socket) => {
  socket.write(`${HEAD}content-length: 1\r\n\r\nx`, () => setTimeout(() => socket.resetAndDestroy(), 5));
};

const FAILED: Record<string, Behaviour> = {
  "closed at once": (socket) => socket.end(),
  "reset at once": (socket) => socket.resetAndDestroy(),
  "no answer": () => {},
  "another protocol": (socket) => socket.end("SSH-2.0-OpenSSH_9.6\r\n"),
  "closed within the headers": (socket) => socket.end("HTTP/1.1 200 O"),
  "closed within the body": (socket) => socket.end(`${HEAD}content-length: 9\r\n\r\nx`),
  "reset within the body": (socket) => {
    socket.write(`${HEAD}content-length: 9\r\n\r\nx`, () => setTimeout(() => socket.resetAndDestroy(), 5));
  },
  "closed within a chunk": (socket) => socket.end(`${CHUNKED}9\r\nx`),
  "a chunk that isn't one": (socket) => socket.write(`${CHUNKED}zzz\r\nx\r\n`),
  "headers that drip": (socket) => {
    socket.write(HEAD);
    drip(socket, "x: y\r\n");
  },
  "headers without end": (socket) => {
    socket.write(HEAD);
    pour(socket, `x: ${"y".repeat(1_000)}\r\n`);
  },
  "one header without end": (socket) => {
    socket.write(`${HEAD}x: `);
    pour(socket, LARGE);
  },
  "a body that drips": (socket) => {
    socket.write(`${HEAD}content-length: 1000000\r\n\r\n`);
    drip(socket, "x");
  },
  "chunks that drip": (socket) => {
    socket.write(CHUNKED);
    drip(socket, "1\r\nx\r\n");
  },
  "a chunk's extension without end": (socket) => {
    socket.write(`${CHUNKED}1;x=`);
    pour(socket, LARGE);
  },
  "trailers without end": (socket) => {
    socket.write(`${CHUNKED}1\r\nx\r\n0\r\n`);
    pour(socket, `x: ${"y".repeat(1_000)}\r\n`);
  },
  "interim answers without end": (socket) => pour(socket, "HTTP/1.1 102 Processing\r\n\r\n".repeat(100)),
  "a protocol switch": (socket) =>
    socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
};

/** A server that treats each request by turns. */
async function adversary(t: TestContext, behaviours: readonly Behaviour[]) {
  let turn = 0;
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => behaviours[turn++ % behaviours.length]?.(socket));
  });
  return { url: await listen(t, server), server };
}

/** Client sockets of this process: those that are open, and the most there were. */
function watchSockets(t: TestContext) {
  const open = new Set<Socket>();
  let most = 0;
  const onSocket = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    open.add(socket);
    most = Math.max(most, open.size);
    socket.on("close", () => open.delete(socket));
  };
  subscribe("net.client.socket", onSocket);
  t.after(() => unsubscribe("net.client.socket", onSocket));
  return { open, most: () => most };
}

const settle = (client: HttpClient, url: string, count: number) =>
  Promise.allSettled(Array.from({ length: count }, () => post(client, url)));

describe("http client: whatever a server does", () => {
  for (const [name, behaviour] of Object.entries(ANSWERED)) {
    test(`${name}: an answer of bounded size each time, over a bounded number of connections`, async (t) => {
      const sockets = watchSockets(t);
      const { url, server } = await adversary(t, [behaviour]);
      const client = clientOf(t, { connections: CONNECTIONS });
      for (const result of await settle(client, url, 20)) {
        assert.equal(result.status, "fulfilled");
        assert.ok(result.value.body.length <= MAX_RESPONSE_BYTES);
      }
      assert.ok(sockets.most() > 0 && sockets.most() <= CONNECTIONS, `${sockets.most()} connections`);
      await client.close();
      await noConnections(server);
    });
  }

  for (const [name, behaviour] of Object.entries(FAILED)) {
    test(`${name}: an exception each time, and the connection ends`, async (t) => {
      const sockets = watchSockets(t);
      const { url, server } = await adversary(t, [behaviour]);
      const client = clientOf(t, { connections: CONNECTIONS, timeout: TIMEOUT_MS });
      for (const { status } of await settle(client, url, 12)) assert.equal(status, "rejected");
      assert.ok(sockets.most() > 0 && sockets.most() <= CONNECTIONS, `${sockets.most()} connections`);
      await noUsedConnections(server);
    });
  }

  test("all of it by turns, from more callers than connections: the sockets stay within their bound", async (t) => {
    const sockets = watchSockets(t);
    const behaviours = [...Object.values(ANSWERED), ...Object.values(FAILED), resetAfterAnswer];
    const { url, server } = await adversary(t, behaviours);
    const client = clientOf(t, { connections: CONNECTIONS, timeout: TIMEOUT_MS });
    for (let round = 0; round < 8; round++) await settle(client, url, 25);
    // Those of a round may still be closing in the next.
    assert.ok(sockets.most() <= 2 * CONNECTIONS, `${sockets.most()} connections`);
    await client.close();
    await noConnections(server);
    await until(() => sockets.open.size === 0, "the end of all sockets");
  });

  test("callers that wait while every connection times out don't open more of them", async (t) => {
    const sockets = watchSockets(t);
    const { url } = await adversary(t, [() => {}]);
    const client = clientOf(t, { connections: CONNECTIONS, timeout: TIMEOUT_MS });
    const callers = Array.from({ length: 50 }, async () => {
      for (let count = 0; count < 4; count++) await assert.rejects(post(client, url));
    });
    await Promise.all(callers);
    assert.equal(sockets.most(), CONNECTIONS);
  });

  test("a TLS handshake that never comes to an end leaves no connection", async (t) => {
    const { url, server } = await adversary(t, [() => {}]);
    let connections = 0;
    server.on("connection", () => connections++);
    const client = clientOf(t, { connections: CONNECTIONS, timeout: TIMEOUT_MS });
    const secure = url.replace("http:", "https:");
    for (const { status } of await settle(client, secure, CONNECTIONS)) assert.equal(status, "rejected");
    assert.ok(connections > 0);
    await noConnections(server);
  });

  test("requests that are aborted leave no connection", async (t) => {
    const sockets = watchSockets(t);
    const { url, server } = await adversary(t, [() => {}]);
    const client = clientOf(t, { connections: CONNECTIONS });
    for (let round = 0; round < 20; round++) {
      const controller = new AbortController();
      const all = Array.from({ length: 10 }, () => post(client, url, { signal: controller.signal }));
      await nextTurn();
      controller.abort();
      for (const { status } of await Promise.allSettled(all)) assert.equal(status, "rejected");
    }
    await until(() => sockets.open.size === 0, "the end of all sockets");
    await noConnections(server);
    assert.ok(sockets.most() > 0);
  });

  test("an environment that moves from host to host leaves no connections behind", async (t) => {
    const sockets = watchSockets(t);
    const client = clientOf(t, { connections: 1 });
    const answer: Behaviour = (socket) => socket.write(`${HEAD}content-length: 1\r\n\r\nx`);
    for (let host = 0; host < 30; host++) {
      const { url } = await adversary(t, [answer]);
      assert.equal((await post(client, url)).body, "x");
      assert.equal((await post(client, url)).body, "x");
    }
    await until(() => sockets.open.size <= 8, "the end of connections to hosts left long ago");
    await client.close();
    await until(() => sockets.open.size === 0, "the end of all sockets");
  });
});

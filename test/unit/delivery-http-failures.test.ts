import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createTcpServer } from "node:net";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createHttpClient } from "../../src/delivery/http.ts";
import {
  clientOf,
  connectionsOf,
  listen,
  noConnections,
  noUsedConnections,
  PATIENCE_MS,
  post,
  serve,
  until,
} from "./delivery-http-fixture.ts";

describe("http client: connections that fail", () => {
  test("refused, cut before the answer, within the headers or within the body: an exception each time", async (t) => {
    const beginnings = ["", "HTTP/1.1 201 Cre", "HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{"];
    for (const beginning of beginnings) {
      const server = createTcpServer((socket) => {
        socket.on("error", () => {});
        socket.once("data", () => socket.end(beginning));
      });
      await assert.rejects(post(clientOf(t), await listen(t, server)), Error);
    }
    const reset = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.resetAndDestroy());
    });
    await assert.rejects(post(clientOf(t), await listen(t, reset)), Error);
    const closed = createTcpServer();
    const url = await listen(t, closed);
    closed.close();
    await once(closed, "close");
    await assert.rejects(post(clientOf(t), url), Error);
  });

  test("an answer that isn't HTTP is an exception", async (t) => {
    const server = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.end("SSH-2.0-OpenSSH_9.6\r\n");
    });
    await assert.rejects(post(clientOf(t), await listen(t, server)), Error);
  });

  test("endless headers are an exception, not endless memory", async (t) => {
    const server = createTcpServer((socket) => {
      socket.on("error", () => {});
      const more = (): void => {
        while (!socket.destroyed && socket.write(`x: ${"y".repeat(1_000)}\r\n`));
      };
      socket.on("drain", more);
      socket.once("data", () => {
        socket.write("HTTP/1.1 201 Created\r\n");
        more();
      });
    });
    const startedAt = performance.now();
    await assert.rejects(post(clientOf(t), await listen(t, server)), Error);
    assert.ok(performance.now() - startedAt < PATIENCE_MS, "before the timeout");
    await noConnections(server);
  });
});

describe("http client: abort", () => {
  test("with a signal that is aborted already, nothing is sent", async (t) => {
    let hits = 0;
    const { url } = await serve(t, (_request, response) => {
      hits++;
      response.end();
    });
    const reason = new Error("partitions went elsewhere");
    const client = clientOf(t);
    await assert.rejects(post(client, url, { signal: AbortSignal.abort(reason) }), reason);
    await post(client, url);
    assert.equal(hits, 1);
  });

  test("ends a request with the signal's reason, whether it waits for headers or for the body", async (t) => {
    for (const phase of ["headers", "body"]) {
      const { url, server } = await serve(t, (_request, response) => {
        if (phase === "body") response.writeHead(201).write("{");
      });
      const controller = new AbortController();
      const request = post(clientOf(t), url, { signal: controller.signal });
      await once(server, "request");
      const reason = new Error("partitions went elsewhere");
      controller.abort(reason);
      await assert.rejects(request, reason);
      await noUsedConnections(server);
    }
  });

  test("a signal that is aborted after the answer does nothing", async (t) => {
    const { url } = await serve(t, (_request, response) => response.end("done"));
    const controller = new AbortController();
    assert.equal((await post(clientOf(t), url, { signal: controller.signal })).body, "done");
    controller.abort();
    await nextTurn();
  });
});

describe("http client: sockets", () => {
  test("200 requests at once under one signal: no warning, no more connections than allowed", async (t) => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    t.after(() => process.off("warning", onWarning));
    let most = 0;
    const { url, server } = await serve(t, async (_request, response) => {
      most = Math.max(most, await connectionsOf(server));
      response.end("{}");
    });
    const client = clientOf(t, { connections: 50 });
    const { signal } = new AbortController();
    const answers = await Promise.all(Array.from({ length: 200 }, () => post(client, url, { signal })));
    assert.equal(answers.filter(({ body }) => body === "{}").length, 200);
    await nextTurn();
    assert.deepEqual(warnings, []);
    assert.ok(most > 1 && most <= 50, `${most} connections`);
  });

  test("aborting 200 requests at once ends them all, without a warning", async (t) => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    t.after(() => process.off("warning", onWarning));
    let under = 0;
    const { url, server } = await serve(t, () => under++);
    const client = clientOf(t, { connections: 200 });
    const controller = new AbortController();
    const all = Array.from({ length: 200 }, () => post(client, url, { signal: controller.signal }));
    await until(() => under === 200, "the arrival of all requests");
    controller.abort();
    const settled = await Promise.allSettled(all);
    assert.ok(settled.every(({ status }) => status === "rejected"));
    await noConnections(server);
    assert.deepEqual(warnings, []);
  });

  test("after close the server has no connection left, and what was under way is an exception", async (t) => {
    let isStuck = false;
    const { url, server } = await serve(t, (_request, response) => {
      if (!isStuck) response.end("{}");
    });
    const client = createHttpClient({ connections: 8, timeout: PATIENCE_MS });
    await Promise.all(Array.from({ length: 20 }, () => post(client, url)));
    assert.ok((await connectionsOf(server)) > 0, "kept alive");
    isStuck = true;
    const stuck = post(client, url);
    const rejection = assert.rejects(stuck, Error);
    await once(server, "request");
    await client.close();
    await rejection;
    await noConnections(server);
    await assert.rejects(post(client, url), Error);
  });

  test("failures of every kind leave no connection behind", async (t) => {
    let count = 0;
    const { url, server } = await serve(t, (request, response) => {
      const kind = count++ % 4;
      if (kind === 0) request.socket.destroy();
      if (kind === 1) response.writeHead(500).end("x".repeat(100_000));
      if (kind === 2) response.writeHead(200, { "content-length": "50" }).write("x");
      if (kind === 3) response.writeHead(201).end("{}");
    });
    const client = createHttpClient({ connections: 8, timeout: 500 });
    const settled = await Promise.allSettled(Array.from({ length: 40 }, () => post(client, url)));
    const statuses = settled.map((result) =>
      result.status === "fulfilled" ? result.value.status : "failed",
    );
    assert.deepEqual(new Set(statuses), new Set([500, 201, "failed"]));
    await client.close();
    await noConnections(server);
  });
});

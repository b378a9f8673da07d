import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { HttpResponse } from "../../src/delivery/dialects/dialect.ts";
import { MAX_RESPONSE_BYTES } from "../../src/delivery/exchange.ts";
import { clientOf, listen, noUsedConnections, post, serve } from "./delivery-http-fixture.ts";

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
};

const assertTimeout = async (send: () => Promise<HttpResponse>, timeout: number): Promise<void> => {
  const startedAt = performance.now();
  await assert.rejects(send(), /no answer within/);
  const took = performance.now() - startedAt;
  assert.ok(took >= timeout - 20 && took < timeout + 5_000, `it took ${took} ms`);
};

describe("http client: requests and answers", () => {
  test("sends method, path, query, headers and body as given, and gives back the answer", async (t) => {
    const { url } = await serve(t, async (request, response) => {
      const seen = { method: request.method, url: request.url, key: request.headers["idempotency-key"] };
      const body = await bodyOf(request);
      response.writeHead(201, { "X-Request-Id": "abc", "content-type": "application/json" });
      response.end(JSON.stringify({ ...seen, body }));
    });
    const answer = await post(clientOf(t), `${url}/api/v2?x=1%20y`, {
      headers: { "idempotency-key": "topic:0:1-2:abcd" },
      body: Buffer.from('[{"phone":"+12125550123"}]'),
    });
    assert.equal(answer.status, 201);
    assert.equal(answer.header("x-request-id"), "abc");
    assert.equal(answer.header("retry-after"), undefined);
    assert.deepEqual(JSON.parse(answer.body), {
      method: "POST",
      url: "/api/v2?x=1%20y",
      key: "topic:0:1-2:abcd",
      body: '[{"phone":"+12125550123"}]',
    });
  });

  test("of a repeated header, the first counts", async (t) => {
    const { url } = await serve(t, (_request, response) => {
      response.statusCode = 429;
      response.setHeader("Retry-After", ["7", "9"]);
      response.setHeader("X-Other", "a");
      response.end();
    });
    const answer = await post(clientOf(t), url);
    assert.equal(answer.header("retry-after"), "7");
    assert.equal(answer.header("x-other"), "a");
  });

  test("every status is an answer, not an exception", async (t) => {
    let status = 200;
    const { url } = await serve(t, (_request, response) => {
      response.writeHead(status);
      response.end();
    });
    const client = clientOf(t);
    for (status of [200, 204, 304, 400, 401, 404, 429, 500, 503, 599]) {
      assert.equal((await post(client, url)).status, status);
    }
  });

  test("a redirect is an answer like any other: nothing is sent elsewhere", async (t) => {
    let hits = 0;
    const elsewhere = await serve(t, (_request, response) => {
      hits++;
      response.end();
    });
    let status = 301;
    const { url } = await serve(t, (_request, response) => {
      response.writeHead(status, { location: elsewhere.url });
      response.end("moved");
    });
    const client = clientOf(t);
    for (status of [301, 302, 303, 307, 308]) {
      assert.equal((await post(client, url)).status, status);
    }
    assert.equal(hits, 0);
  });

  test("JSON that ends too early under a whole answer is given back as it came", async (t) => {
    const { url } = await serve(t, (_request, response) => {
      response.writeHead(201, { "content-type": "application/json" });
      response.end('{"success":tr');
    });
    assert.equal((await post(clientOf(t), url)).body, '{"success":tr');
  });
});

describe("http client: time", () => {
  test("headers that don't come end the request at its timeout, and its connection with it", async (t) => {
    const { url, server } = await serve(t, () => {});
    await assertTimeout(() => post(clientOf(t, { timeout: 100 }), url), 100);
    await noUsedConnections(server);
  });

  test("a body that trickles for ever ends at the same timeout: it bounds the whole request", async (t) => {
    const { url, server } = await serve(t, (_request, response) => {
      response.writeHead(201);
      const trickle = setInterval(() => response.write(" "), 10);
      response.on("close", () => clearInterval(trickle));
    });
    await assertTimeout(() => post(clientOf(t, { timeout: 200 }), url), 200);
    await noUsedConnections(server);
  });

  test("headers that trickle for ever end there too", async (t) => {
    const server = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.write("HTTP/1.1 201 Created\r\n");
      let count = 0;
      const trickle = setInterval(() => socket.write(`x-${count++}: y\r\n`), 10);
      socket.on("close", () => clearInterval(trickle));
    });
    const url = await listen(t, server);
    await assertTimeout(() => post(clientOf(t, { timeout: 200 }), url), 200);
    await noUsedConnections(server);
  });

  test("waiting for a free connection counts as well", async (t) => {
    const { url } = await serve(t, () => {});
    const client = clientOf(t, { connections: 1, timeout: 150 });
    await Promise.all([1, 2, 3].map(() => assertTimeout(() => post(client, url), 150)));
  });

  test("after a timeout the client works as before", async (t) => {
    let isStuck = true;
    const { url } = await serve(t, (_request, response) => {
      if (!isStuck) response.end("well");
    });
    const client = clientOf(t, { connections: 1, timeout: 300 });
    await assertTimeout(() => post(client, url), 300);
    isStuck = false;
    assert.equal((await post(client, url)).body, "well");
  });
});

describe("http client: large answers", () => {
  const chunk = Buffer.alloc(64 * 1024, "x");

  test("what is over 256 KiB is thrown away, and the connection is used again", async (t) => {
    const ports = new Set<number | undefined>();
    const { url } = await serve(t, (request, response) => {
      ports.add(request.socket.remotePort);
      response.end(Buffer.alloc(1024 * 1024, "x"));
    });
    const client = clientOf(t, { connections: 1 });
    for (let count = 0; count < 3; count++) {
      assert.equal((await post(client, url)).body.length, MAX_RESPONSE_BYTES);
    }
    assert.equal(ports.size, 1);
  });

  test("an endless answer is cut, in little memory, and the client works as before", async (t) => {
    let sent = 0;
    let isEndless = true;
    const { url, server } = await serve(t, (_request, response) => {
      if (!isEndless) {
        response.end("short");
        return;
      }
      const more = (): void => {
        while (!response.destroyed && response.write(chunk)) sent += chunk.length;
      };
      response.on("drain", more);
      response.on("error", () => {});
      more();
    });
    const client = clientOf(t, { connections: 1 });
    const before = process.memoryUsage();
    const answer = await post(client, url);
    const after = process.memoryUsage();
    assert.equal(answer.status, 200);
    assert.equal(answer.body.length, MAX_RESPONSE_BYTES);
    const grown = after.heapUsed + after.external - before.heapUsed - before.external;
    assert.ok(grown < 64 * 1024 * 1024, `${grown} bytes more`);
    await noUsedConnections(server);
    assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes were sent`);
    isEndless = false;
    assert.equal((await post(client, url)).body, "short");
  });

  test("multi-byte characters that arrive in pieces are put together again", async (t) => {
    const { url } = await serve(t, async (_request, response) => {
      for (const byte of Buffer.from("größe \u{1f4f5}")) {
        response.write(Buffer.from([byte]));
        await nextTurn();
      }
      response.end();
    });
    assert.equal((await post(clientOf(t), url)).body, "größe \u{1f4f5}");
  });
});

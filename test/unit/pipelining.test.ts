import assert from "node:assert/strict";
import { test } from "node:test";
import { fastify } from "fastify";
import { limitPipelining } from "../../src/pipelining.ts";
import { say } from "../support/raw-http.ts";
import { waitFor } from "../support/wait.ts";
import { gate } from "./gateway-fixture.ts";

const REQUEST = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async function serve(answer: () => Promise<string>) {
  const app = fastify();
  limitPipelining(app);
  let handled = 0;
  app.get("/", async () => {
    handled += 1;
    return answer();
  });
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  return { url, handled: () => handled, [Symbol.asyncDispose]: () => app.close() };
}

test("a connection with thousands of requests under way is cut, and few of them are worked on", async () => {
  const { opened, open } = gate();
  await using server = await serve(() => opened.then(() => "x"));
  const connection = say(server.url, REQUEST.repeat(2_000));
  await connection.closed;
  assert.equal(connection.received(), "");
  assert.equal(server.handled(), 32);
  open();
});

test("a connection may have any number of requests answered, some of them at once", async () => {
  await using server = await serve(async () => "x");
  const connection = say(server.url);
  const answers = () => connection.received().split("HTTP/1.1 200 OK").length - 1;
  for (let round = 1; round <= 10; round += 1) {
    connection.socket.write(REQUEST.repeat(20));
    await waitFor("all to be answered", () => answers() === round * 20);
  }
  connection.socket.destroy();
});

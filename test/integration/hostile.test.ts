import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { readyGateway } from "../support/gateway.ts";
import { type CliProcess, runCli } from "../support/process.ts";
import { type Asked, createCaller, type RawConnection, say, socketsOf } from "../support/raw-http.ts";
import { createScenario, optOuts, phones } from "../support/scenario.ts";
import { releaseStack } from "../support/stack.ts";
import { assertOnEveryList } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

/** A process that listens, and what a caller who behaves asks of it. */
interface Target {
  name: string;
  url: string;
  process: CliProcess;
  path: string;
  good: Asked;
  status: number;
}

const JSON_TYPE = { "content-type": "application/json" };
const scenario = await createScenario({ partitions: 2, environments: ["a"] });
const relay = await scenario.startRelay();
const gateway = runCli(["gateway"], {
  env: {
    OPTOUT_KAFKA__BROKERS: scenario.config.kafka.brokers.join(","),
    OPTOUT_TOPICS__EVENTS: scenario.config.topics.events,
    OPTOUT_GATEWAY__PORT: "0",
    OPTOUT_GATEWAY__REQUESTS_PER_SECOND: "100000",
    OPTOUT_ENVIRONMENTS:
      '[{"name":"e","baseUrl":"http://127.0.0.1:9","auth":{"clientId":"c","clientSecret":"s"}}]',
  },
});
const simulator = runCli(["simulator", "--port", "0", "--environments", "a"]);
after(async () => {
  for (const each of [simulator, gateway]) await each[Symbol.asyncDispose]();
  await scenario[Symbol.asyncDispose]();
  await releaseStack();
});
const simulatorUrl = await waitFor(
  "the simulator to listen",
  () => /http:\/\/127\.0\.0\.1:\d+/.exec(simulator.stdout())?.[0],
);
const TARGETS: Target[] = [
  {
    ...{ name: "gateway", url: await readyGateway(gateway), process: gateway, path: "/opt-out", status: 202 },
    good: {
      method: "POST",
      path: "/opt-out",
      headers: JSON_TYPE,
      body: '{"phone":"+12125550100","source":"ivr"}',
    },
  },
  {
    ...{ name: "relay", url: relay.url, process: relay, path: "/metrics", status: 200 },
    good: { path: "/metrics" },
  },
  {
    ...{ name: "simulator", url: simulatorUrl, process: simulator, path: "/a/oauth/token", status: 200 },
    good: { path: "/_sim/a/entries" },
  },
];

const residentBytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1_024;

/** Runs an attack while a caller who behaves asks one thing after the other: each is answered as always. */
async function besides({ url, good, status }: Target, attack: () => Promise<void>): Promise<void> {
  const caller = createCaller(url);
  let isOver = false;
  const asking = (async () => {
    let answered = 0;
    for (; !isOver; answered += 1) {
      assert.equal(await caller.ask(good), status, "a caller who behaves");
      await sleep(20);
    }
    return answered;
  })();
  try {
    await Promise.race([attack(), asking]);
  } finally {
    isOver = true;
  }
  assert.ok((await asking) > 0);
  caller.close();
}

const closedAll = (what: string, connections: readonly RawConnection[]): Promise<unknown> =>
  waitFor(`${what} to be closed by the server`, () => connections.every(({ isClosed }) => isClosed));

const many = (count: number, open: (index: number) => RawConnection): RawConnection[] =>
  Array.from({ length: count }, (_, index) => open(index));

/** Writes a byte now and then, for as long as the other end is there. */
function drip(connection: RawConnection): RawConnection {
  const timer = setInterval(() => connection.socket.write("x"), 1_000);
  void connection.closed.then(() => clearInterval(timer));
  return connection;
}

/** What is written, and the statuses it may be answered with; none: it may as well be cut. */
const SHAPES: Record<string, (path: string) => [request: string, statuses: RegExp]> = {
  "HTTP/1.0": () => ["GET /nowhere HTTP/1.0\r\n\r\n", /^404$/],
  "HTTP/1.1 without a host": () => ["GET /nowhere HTTP/1.1\r\n\r\n", /^400$/],
  "HTTP/2": () => ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", /^400$/],
  "HTTP/9.9": () => ["GET / HTTP/9.9\r\nhost: a\r\n\r\n", /^400$/],
  "no HTTP": () => ["\u0016\u0003\u0001\u0002\0\u0001\0\u0001", /^400$/],
  "a method that isn't one": (path) => [`FETCH ${path} HTTP/1.1\r\nhost: a\r\n\r\n`, /^400$/],
  TRACE: (path) => [`TRACE ${path} HTTP/1.1\r\nhost: a\r\nx-secret: s\r\n\r\n`, /^40[045]$/],
  CONNECT: () => ["CONNECT other.example:443 HTTP/1.1\r\nhost: a\r\n\r\n", /^$|^40[045]$/],
  "an absolute target": (path) => [
    `GET http://other.example${path}/nowhere HTTP/1.1\r\nhost: a\r\n\r\n`,
    /^404$/,
  ],
  "length and chunks": (path) => [
    `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n`,
    /^400$/,
  ],
  "two lengths": (path) => [
    `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 5\r\n\r\nGET /`,
    /^400$/,
  ],
  "a negative length": (path) => [`POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n`, /^400$/],
  "an encoding that isn't known": (path) => [
    `POST ${path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n`,
    /^400$/,
  ],
  "a blank before a colon": (path) => [
    `POST ${path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n`,
    /^400$/,
  ],
  "a header on two lines": (path) => [`GET ${path} HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n`, /^400$/],
  "a line feed alone": (path) => [`GET ${path} HTTP/1.1\nhost: a\n\n`, /^400$/],
  "a chunk that isn't one": (path) => [
    `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n\r\n`,
    /^400$|^401$/,
  ],
  "an expectation": () => [
    "GET /nowhere HTTP/1.1\r\nhost: a\r\nexpect: 200-ok\r\nconnection: close\r\n\r\n",
    /^4(04|17)$/,
  ],
  "an upgrade": () => [
    "GET /nowhere HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n",
    /^404$/,
  ],
  "a way out of the folder": () => [
    "GET /../../etc/passwd HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    /^40[04]$/,
  ],
  "the same, encoded": () => [
    "GET /%2e%2e/%2e%2e%5c%c0%af/etc/passwd HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    /^40[04]$/,
  ],
  "a zero byte in the path": () => ["GET /livez\0 HTTP/1.1\r\nhost: a\r\n\r\n", /^400$/],
  "half an escape": () => ["GET /%f HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", /^40[04]$/],
  "a huge query": () => [
    `GET /nowhere?${"a=b&".repeat(3_000)} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`,
    /^404$/,
  ],
  "a header of a megabyte": () => [
    `GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(1_048_576)}\r\n\r\n`,
    /^431$|^$/,
  ],
  "a hundred thousand headers": () => [
    `GET / HTTP/1.1\r\nhost: a\r\n${"x: y\r\n".repeat(100_000)}\r\n`,
    /^431$|^$/,
  ],
  "a path of a megabyte": () => [
    `GET /${"y".repeat(1_048_576)} HTTP/1.1\r\nhost: a\r\n\r\n`,
    /^4(14|31)$|^$/,
  ],
};

const statusOf = (text: string): string => /^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? "";

async function starve(target: Target): Promise<void> {
  const { url, process, path } = target;
  const before = socketsOf(process.pid);
  await besides(target, async () => {
    const head = `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`;
    const connections = [
      ...many(700, () => say(url)),
      ...many(100, () => drip(say(url, "GET /livez HTTP/1.1\r\nhost: a\r\nx: "))),
      ...many(100, () => drip(say(url, head))),
    ];
    await closedAll(`idle and slow connections to the ${target.name}`, connections);
  });
  await waitFor("the sockets to be closed", () => socketsOf(process.pid) <= before + 5);
}

describe("listeners", () => {
  test("callers that say nothing, or a byte a second, are cut off; the others are served", async () => {
    await Promise.all(TARGETS.map(starve));
  });

  for (const target of TARGETS) {
    const { name, url, process, path } = target;

    test(`${name}: requests that nobody should send are refused, one by one and without a trace of the inside`, async () => {
      await besides(target, async () => {
        for (const [what, shape] of Object.entries(SHAPES)) {
          const [request, statuses] = shape(path);
          const connection = say(url, request);
          await waitFor(
            `${name} to answer ${what}`,
            () => connection.isClosed || statusOf(connection.received()) !== "",
          );
          const answer = connection.received();
          assert.match(statusOf(answer), statuses, `${what}: ${answer.slice(0, 300)}`);
          assert.doesNotMatch(answer, /\n\s+at |node_modules|x-secret|root:|101 Switching/, what);
          assert.ok(answer.split("HTTP/1.1 ").length <= 2, `${what}: one answer at most`);
          connection.socket.destroy();
        }
      });
    });

    test(`${name}: whoever asks and doesn't read, or breaks off, costs bounded memory`, async (context) => {
      const sizes: number[] = [];
      const requests = `GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n`.repeat(2_000);
      for (let round = 0; round < 3; round += 1) {
        const unread = many(10, () => {
          const connection = say(url, requests);
          connection.socket.pause();
          return connection;
        });
        await Promise.all(
          many(300, () => say(url, `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{`)).map(
            async ({ socket, closed }) => {
              socket.once("connect", () => socket.resetAndDestroy());
              await closed;
            },
          ),
        );
        await besides(target, () => sleep(500));
        sizes.push(residentBytes(process.pid));
        for (const { socket } of unread) socket.destroy();
      }
      context.diagnostic(`resident: ${sizes.map((size) => `${Math.round(size / 2 ** 20)} MiB`).join(", ")}`);
      const [first = 0, , last = 0] = sizes;
      assert.ok(last < first + 128 * 2 ** 20, `${last} bytes after ${first}`);
    });
  }

  test("and all the while opt-outs reach their list", async () => {
    await scenario.produce(optOuts(1_000, 1_200));
    await scenario.allSettled();
    assertOnEveryList(scenario, phones(1_000, 1_200));
    for (const { process, name } of TARGETS) assert.ok(process.running, name);
  });
});

import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createKeyring } from "../../src/gateway/auth.ts";
import { createCallerLimits, networkOf } from "../../src/gateway/callers.ts";
import { bodyOf, configWith, exchange, gatewayWith, optOut } from "./gateway-fixture.ts";

/** A clock that stands still until it is told to go on. Milliseconds. */
function clock() {
  let time = 0;
  return {
    now: () => time,
    pass(milliseconds: number): void {
      time += milliseconds;
    },
  };
}

test("each caller has its own rate, with a second's worth at once", () => {
  const time = clock();
  const limits = createCallerLimits(2, time.now);
  assert.deepEqual(
    [1, 2, 3].map(() => limits.take("a")),
    [0, 0, 500],
  );
  assert.equal(limits.take("b"), 0);
  time.pass(500);
  assert.deepEqual(
    [1, 2].map(() => limits.take("a")),
    [0, 500],
  );
});

test("a rate below one in a second lets one through at once", () => {
  const time = clock();
  const limits = createCallerLimits(0.1, time.now);
  assert.equal(limits.take("a"), 0);
  assert.equal(limits.take("a"), 10_000);
});

test("callers are remembered up to a bound: who was here longest ago is forgotten", () => {
  const time = clock();
  const limits = createCallerLimits(1, time.now, 2);
  limits.take("a");
  limits.take("b");
  assert.ok(limits.take("a") > 0);
  limits.take("c");
  assert.ok(limits.take("a") > 0, "a was here after b");
  assert.equal(limits.take("b"), 0);
});

test("an IPv6 caller is its network, an IPv4 caller its address in whatever form", () => {
  const networks: Record<string, string | undefined> = {
    "10.0.0.1": "10.0.0.1",
    "::ffff:10.0.0.1": "10.0.0.1",
    "2001:DB8:0:1:2:3:4:5": "2001:db8:0:1::/64",
    "2001:db8:0:1::9": "2001:db8:0:1::/64",
    "2001:db8::1:0:0:9": "2001:db8:0:0::/64",
    "fe80::1%eth0": "fe80:0:0:0::/64",
    "64:ff9b::10.0.0.1": "64:ff9b:0:0::/64",
    "::1": "0:0:0:0::/64",
    unknown: undefined,
    "10.0.0.1:80": undefined,
    "": undefined,
  };
  for (const [address, network] of Object.entries(networks))
    assert.equal(networkOf(address), network, address);
});

test("more than a caller's rate is 429 with the seconds to wait, until they have passed", async () => {
  const time = clock();
  await using setup = await gatewayWith({ gateway: { requestsPerSecond: 0.5 }, now: time.now });
  assert.equal((await setup.post(optOut)).status, 202);
  const refused = await setup.post(optOut);
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get("retry-after"), "2");
  assert.equal((await bodyOf(refused)).reason, "rate_limited");
  time.pass(2_000);
  assert.equal((await setup.post(optOut)).status, 202);
  assert.equal(setup.sent.length, 2);
  assert.equal((await fetch(`${setup.gateway.url}/livez`)).status, 200, "probes are free");
});

test("each key has a rate of its own, and guessing keys has that of the address", async () => {
  const time = clock();
  await using setup = await gatewayWith({
    gateway: { requestsPerSecond: 1, apiKeys: ["first", "second"] },
    now: time.now,
  });
  const statusWith = async (key: string) => (await setup.post(optOut, { "x-api-key": key })).status;
  assert.deepEqual([await statusWith("first"), await statusWith("first")], [202, 429]);
  assert.deepEqual([await statusWith("guess"), await statusWith("another")], [401, 429]);
  assert.deepEqual([await statusWith("second"), await statusWith("second")], [202, 429]);
});

test("X-Forwarded-For is believed only from a trusted proxy", async () => {
  const time = clock();
  const statusesWith = async (trustedProxies: string[], forwarded: string[]) => {
    await using setup = await gatewayWith({
      gateway: { requestsPerSecond: 1, trustedProxies },
      now: time.now,
    });
    const statuses: number[] = [];
    for (const each of forwarded)
      statuses.push((await setup.post(optOut, { "x-forwarded-for": each })).status);
    return statuses;
  };
  const two = ["203.0.113.1", "203.0.113.2", "203.0.113.1"];
  assert.deepEqual(await statusesWith([], two), [202, 429, 429]);
  assert.deepEqual(await statusesWith(["127.0.0.0/8"], two), [202, 202, 429]);
  assert.deepEqual(await statusesWith(["10.0.0.1"], two), [202, 429, 429]);
  // What a caller writes itself stands before what the proxy adds.
  assert.deepEqual(
    await statusesWith(["127.0.0.1"], ["198.51.100.1, 203.0.113.1", "198.51.100.2, 203.0.113.1"]),
    [202, 429],
  );
  assert.deepEqual(await statusesWith(["127.0.0.1"], ["nonsense", "other nonsense"]), [202, 429]);
  // Some proxies write the port as well.
  const withPorts = ["203.0.113.1:4711", "203.0.113.2:4711", "203.0.113.1:4712", "203.0.113.1"];
  assert.deepEqual(await statusesWith(["127.0.0.1"], withPorts), [202, 202, 429, 429]);
  const ipv6 = ["[2001:db8:0:1::1]:4711", "[2001:db8:0:2::1]:4711", "[2001:db8:0:1::1]", "2001:db8:0:1::2"];
  assert.deepEqual(await statusesWith(["127.0.0.1"], ipv6), [202, 202, 429, 429]);
  const chain = ["203.0.113.1:4711, 10.0.0.1:80", "203.0.113.2:4711, [fd00::1]:80", "203.0.113.1, 10.0.0.1"];
  assert.deepEqual(await statusesWith(["127.0.0.1", "10.0.0.0/8", "fd00::/8"], chain), [202, 202, 429]);
});

test("a trusted range of all addresses is refused at start by its key", () => {
  for (const range of ["0.0.0.0/0", "::/0", "10.0.0.1/0", "10.0.0.0/00"]) {
    assert.throws(
      () => configWith({ trustedProxies: ["10.0.0.1", range] }),
      /gateway\.trustedProxies\[1\] = .*: expected an IP address, or a range of them .*not \/0/,
      range,
    );
  }
});

test("keys that are rotated in their files are known within seconds", () => {
  const time = clock();
  let keys = ["old"];
  const ring = createKeyring(() => keys, time.now);
  const knows = (key: string) => ring.find({ "x-api-key": key }) !== undefined;
  assert.deepEqual([knows("old"), knows("new")], [true, false]);
  keys = ["new"];
  assert.deepEqual([knows("old"), knows("new")], [true, false]);
  time.pass(5_000);
  assert.deepEqual([knows("old"), knows("new")], [false, true]);
  assert.equal(ring.required, true);
});

test("a request whose headers trickle in is cut off", async () => {
  await using setup = await gatewayWith({ requestTimeout: 400 });
  const slow = ["POST /opt-out HTTP/1.1\r\nhost: x\r\n", ...Array<string>(100).fill("x-more: 1\r\n")];
  const answer = await exchange(setup.gateway.url, slow, () => sleep(50));
  assert.match(answer, /^HTTP\/1\.1 408 .*"reason":"request_timeout"/s);
  assert.deepEqual(await setup.metric("optout_gateway_rejected_total"), ['{reason="request_timeout"} 1']);
});

test("a request whose body trickles in is cut off, and nothing of it is taken", async () => {
  await using setup = await gatewayWith({ requestTimeout: 400 });
  const head =
    "POST /opt-out HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 200\r\n\r\n{";
  const answer = await exchange(setup.gateway.url, [head, ...Array<string>(100).fill(" ")], () => sleep(50));
  assert.match(answer, /^HTTP\/1\.1 408 .*"reason":"request_timeout"/s);
  assert.deepEqual(setup.sent, []);
});

test("a connection that says nothing is closed", async () => {
  await using setup = await gatewayWith({ requestTimeout: 400 });
  await exchange(setup.gateway.url, []);
  await exchange(setup.gateway.url, ["POST /opt-out HTT"]);
});

test("a body that is announced as too large is refused before it is sent", async () => {
  await using setup = await gatewayWith();
  const { hostname, port } = new URL(setup.gateway.url);
  const headers = { "content-type": "application/json", "content-length": "1000000000" };
  const status = await new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, path: "/opt-out", method: "POST", headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("error", reject);
    request.flushHeaders();
  });
  assert.equal(status, 413);
});

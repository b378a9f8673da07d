import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import type { Finding } from "../../src/check/finding.ts";
import type { ConfigInput } from "../../src/config/schema.ts";
import { createSimulator } from "../../src/simulator/index.ts";
import { type CheckInput, check, newInput as newInputFor, startSilence } from "../support/check.ts";
import { releaseStack, sharedStack } from "../support/stack.ts";

const stack = await sharedStack();
const silence = await startSilence();
const simulator = await createSimulator({
  environments: [
    { name: "production", clientId: "relay", clientSecret: "right-5ecret" },
    ...["us-west", "cut", "down", "inactive", "unscrubbed"],
  ],
});
simulator.setFaults("cut", { outage: true });
simulator.setFaults("down", { outage: "503" });
simulator.setFaults("inactive", { dncGroup: "inactive" });
simulator.setFaults("unscrubbed", { dncGroup: "unscrubbed" });

after(async () => {
  silence.close();
  await simulator.close();
  await releaseStack();
});

const AUTH = { clientId: "relay", clientSecret: "right-5ecret" };
type EnvironmentInput = ConfigInput["environments"][number];
const production = () => ({
  ...{ name: "production", baseUrl: simulator.baseUrl("production"), auth: { ...AUTH } },
});
const group = (name: string): EnvironmentInput => ({
  ...{ name, dialect: "admin-dnc-groups", tenantId: "t", groupId: 7, baseUrl: simulator.baseUrl(name) },
  auth: { accessKeyId: "key", accessKeySecret: "right-5ecret" },
});
const newInput = (environment: EnvironmentInput = production()): CheckInput =>
  newInputFor(stack.brokers, [environment]);

describe("check of what isn't Kafka", { concurrency: 4 }, () => {
  test("a registry that is away, hangs or has other schemas is told apart", async () => {
    const input = newInput();
    const ofRegistry = async (url: string, timeout?: number): Promise<Finding[]> =>
      (await check({ ...input, schemaRegistry: { url } }, timeout)).filter(({ area }) =>
        /registry|subject/.test(area),
      );
    const [away, ...others] = await ofRegistry("http://127.0.0.1:9");
    assert.deepEqual([away?.result, others], ["failed", []]);
    assert.match(away?.detail ?? "", /127\.0\.0\.1:9.*ECONNREFUSED/);
    const [hanging] = await ofRegistry(`http://${silence.address}`, 500);
    assert.match(hanging?.detail ?? "", /took too long/);
    const [lost] = await ofRegistry(simulator.baseUrl("production"));
    assert.match(lost?.detail ?? "", /answers 404 where a registry/);
    const missing = await ofRegistry(stack.registryUrl);
    assert.deepEqual(
      missing.map(({ area, name, result }) => [area, name, result]),
      [
        ["registry", "", "ok"],
        ["subject", `${input.topics.events}-value`, "warning"],
        ["subject", `${input.topics.status}-value`, "warning"],
      ],
    );
    const other = { type: "record", name: "Other", fields: [{ name: "a", type: "int" }] };
    for (const [path, body] of [
      [`/config/${input.topics.status}-value`, { compatibility: "BACKWARD" }],
      [`/subjects/${input.topics.status}-value/versions`, { schema: JSON.stringify(other) }],
    ] as const) {
      const method = path.startsWith("/config") ? "PUT" : "POST";
      const headers = { "content-type": "application/vnd.schemaregistry.v1+json" };
      await fetch(stack.registryUrl + path, { method, headers, body: JSON.stringify(body) });
    }
    const differing = await ofRegistry(stack.registryUrl);
    assert.deepEqual(
      differing.map(({ result }) => result),
      ["ok", "warning", "failed"],
      JSON.stringify(differing),
    );
  });

  const environments: [string, EnvironmentInput, string, RegExp][] = [
    [
      "a wrong secret",
      { ...production(), auth: { ...AUTH, clientSecret: "wrong-5ecret" } },
      "token failed",
      /401 \(invalid_client\)/,
    ],
    [
      "an unknown scope",
      { ...production(), auth: { ...AUTH, scope: "dnc:all" } },
      "token failed",
      /scope "dnc:all"/,
    ],
    [
      "a scope that may not write",
      { ...production(), auth: { ...AUTH, scope: "dnc:read" } },
      "api failed",
      /\(403\)/,
    ],
    [
      "a wrong path",
      { ...production(), baseUrl: `${simulator.url}/nowhere` },
      "token failed",
      /no token is issued at that address/,
    ],
    ["nothing there", { ...production(), baseUrl: "http://127.0.0.1:9" }, "token failed", /nothing listens/],
    ["an outage", { ...group("down") }, "token failed", /503 now/],
    ["cut connections", { ...group("cut") }, "token failed", /connection was cut/],
    ["an inactive group", group("inactive"), "group failed", /isn't active/],
    ["a group without skills", group("unscrubbed"), "skills failed", /no skill/],
    [
      "silence",
      { ...production(), baseUrl: `http://${silence.address}` },
      "token failed",
      /no answer (in time|within 700 ms)/,
    ],
  ];
  for (const [what, environment, trouble, says] of environments) {
    test(`${what} at an environment is found: ${trouble}`, async () => {
      const findings = await check(newInput(environment), what === "silence" ? 700 : undefined);
      const ofEnvironment = findings.filter(({ area }) => area === "environment");
      const wrong = ofEnvironment.filter(({ result }) => result === "failed" || result === "warning");
      assert.deepEqual(
        wrong.map(({ check: about, result }) => `${about} ${result}`),
        [trouble],
      );
      assert.match(wrong[0]?.detail ?? "", says);
      assert.notEqual(wrong[0]?.remedy, null);
      assert.doesNotMatch(JSON.stringify(findings), /5ecret/);
    });
  }

  test("a clock that is minutes off is found by the environment's own", async () => {
    const server = createServer((_request, response) => {
      response.setHeader("date", new Date(Date.now() + 5 * 60_000).toUTCString());
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ access_token: "t0ken", token_type: "Bearer", expires_in: 60 }));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const findings = await check(newInput({ ...production(), baseUrl }));
      const clock = findings.find(({ check: what }) => what === "clock");
      assert.equal(clock?.result, "warning");
      assert.match(clock?.detail ?? "", /^(29\d|30\d) s ahead/);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

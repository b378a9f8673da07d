import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { AclEntry } from "kafkajs";
import { Operation, Pattern, Permission, Resource } from "../support/acls.ts";
import { replaceFile } from "../support/files.ts";
import { runCli } from "../support/process.ts";
import { createProxy } from "../support/proxy.ts";
import { createScenario, optOuts, phoneOf, phones, type Scenario } from "../support/scenario.ts";
import {
  type Access,
  assertQuiet,
  createSecuredAccess,
  postOptOut,
  type SecuredAccess,
} from "../support/secured-access.ts";
import { BRIEF_SESSION_MS, LIMITED, type SecuredStack, startSecuredStack } from "../support/secured-stack.ts";
import { releaseStack } from "../support/stack.ts";
import { assertOnEveryList } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

const TOKEN_LIFETIME_S = 8;

describe("Kafka sessions and permissions", { concurrency: 2 }, () => {
  let secured: SecuredStack;
  let access: SecuredAccess;
  before(async () => {
    secured = await startSecuredStack();
    access = createSecuredAccess(secured);
    secured.tokenServer.lifetime = TOKEN_LIFETIME_S;
  });
  after(async () => {
    await secured.stop();
    await releaseStack();
  });

  const newScenario = (): Promise<Scenario> =>
    createScenario({ brokers: [secured.plain], environments: ["production"], batching: { maxEntries: 1 } });
  const startRelay = (scenario: Scenario, kafka: Access, wait = true) =>
    scenario.startRelay({
      wait,
      change: (config) => {
        config.kafka = { ...config.kafka, ...kafka };
      },
    });

  describe("a relay outlives its sessions with the brokers", { concurrency: 3 }, () => {
    /** Opt-outs all the time, so that there's always a request for which a session may be too old. */
    const feedFor = async (scenario: Scenario, milliseconds: number, start: number): Promise<number> => {
      const until = performance.now() + milliseconds;
      let sent = start;
      for (; performance.now() < until; sent += 3) {
        await scenario.produce(optOuts(sent, sent + 3));
        await sleep(100);
      }
      return sent;
    };
    const assertUntroubled = async (
      scenario: Scenario,
      relay: Awaited<ReturnType<typeof startRelay>>,
      sent: number,
    ) => {
      await scenario.allSettled();
      assertOnEveryList(scenario, phones(0, sent));
      relay.kill("SIGTERM");
      assert.deepEqual(await relay.exit, { code: 0, signal: null });
      assertQuiet(relay);
      assert.equal(relay.logs().filter(({ msg }) => msg === "partitions taken over").length, 1);
      access.assertKept(relay);
    };

    test("that the brokers limit (connections.max.reauth.ms)", async () => {
      await using scenario = await newScenario();
      const sasl = await access.passwordLogin("plain");
      const relay = await startRelay(scenario, access.over("brief", { ssl: false, sasl }));
      const sent = await feedFor(scenario, 3 * BRIEF_SESSION_MS, 0);
      await assertUntroubled(scenario, relay, sent);
    });

    test("that end with their token, and a client secret that is rotated meanwhile", async () => {
      const { tokenServer } = secured;
      await using scenario = await newScenario();
      const client = { id: "rotating", secret: "first-Horse-1207" };
      tokenServer.clients.set(client.id, client.secret);
      const { file, reference } = await access.secretFile(client.secret);
      const sasl = { ...(await access.tokenLogin({ client })), clientSecret: reference };
      const relay = await startRelay(scenario, access.over("brief", { ssl: false, sasl }));
      const before = tokenServer.issued(client.id);
      assert.ok(before > 0);
      tokenServer.clients.set(client.id, "second-Horse-8812");
      await replaceFile(file, "second-Horse-8812");
      let sent = 0;
      await waitFor("tokens by the new secret", async () => {
        sent = await feedFor(scenario, 1_000, sent);
        return tokenServer.issued(client.id) >= before + 2;
      });
      await assertUntroubled(scenario, relay, sent);
      assert.equal(relay.logs().filter(({ msg }) => msg === "read again from its files").length, 1);
    });

    test("that end while the token server is away: it goes on when that is back", async () => {
      const { tokenServer } = secured;
      const proxy = await createProxy(new URL(tokenServer.url).origin);
      try {
        await using scenario = await newScenario();
        const sasl = await access.tokenLogin({ url: `${proxy.baseUrl}/token` });
        const kafka = access.over("brief", { ssl: false, sasl });
        const relay = await startRelay(scenario, kafka);
        await scenario.produce(optOuts(0, 3));
        await scenario.allSettled();
        proxy.pointTo("http://127.0.0.1:9");
        const config = await access.configuration(kafka, { topics: scenario.config.topics });
        await using gateway = runCli(["gateway", "--config", config]);
        await waitFor("the relay to be out of the group, for want of a token", async () => {
          return (await fetch(`${relay.url}/readyz`)).status === 503;
        });
        await waitFor("the gateway to have tried", () =>
          gateway.logs().some(({ msg }) => msg.endsWith("keeps trying.")),
        );
        await scenario.produce(optOuts(3, 6));
        proxy.pointTo(new URL(tokenServer.url).origin);
        await waitFor(
          "the gateway to take opt-outs",
          async () => (await postOptOut(gateway, phoneOf(6))).status === 202,
        );
        await scenario.allSettled();
        assertOnEveryList(scenario, phones(0, 7));
        assert.ok(relay.running, relay.stderr());
        access.assertKept(relay, gateway);
      } finally {
        await proxy.close();
      }
    });
  });

  describe("what an ACL forbids is told by its name, with the grant that is missing", {
    concurrency: 2,
  }, () => {
    const limited = async (): Promise<Access> =>
      access.over("login", { sasl: await access.passwordLogin("plain", LIMITED) });
    /** Everything for everybody, but for the limited user not this. */
    const forbid = async (
      { admin }: Scenario,
      resource: "TOPIC" | "GROUP" | "CLUSTER",
      resourceName: string,
      operation: "READ" | "WRITE" | "CREATE",
    ): Promise<void> => {
      const everything: AclEntry = {
        resourceType: Resource[resource],
        resourceName,
        resourcePatternType: Pattern.LITERAL,
        host: "*",
        principal: "User:*",
        operation: Operation.ALL,
        permissionType: Permission.ALLOW,
      };
      const forbidden: AclEntry = {
        ...everything,
        principal: `User:${LIMITED.username}`,
        operation: Operation[operation],
        permissionType: Permission.DENY,
      };
      await admin.createAcls({ acl: [everything, forbidden] });
    };
    const topicsOf = ({ config }: Scenario) => config.topics;

    test("reading the consumer group: the relay ends", async () => {
      await using scenario = await newScenario();
      const { groupId } = scenario.config.kafka;
      await forbid(scenario, "GROUP", groupId, "READ");
      const kafka = { ...(await limited()), groupId };
      const said = await access.refusal("relay", kafka, { topics: topicsOf(scenario) });
      assert.match(
        said,
        new RegExp(`Kafka at ${kafka.brokers[0]} doesn't let this user join the consumer group "${groupId}"`),
      );
      assert.match(said, /grant it READ on the group/);
    });

    test("reading the events: the relay ends", async () => {
      await using scenario = await newScenario();
      const topics = topicsOf(scenario);
      await forbid(scenario, "TOPIC", topics.events, "READ");
      const kafka = { ...(await limited()), groupId: scenario.config.kafka.groupId };
      const said = await access.refusal("relay", kafka, { topics });
      assert.match(
        said,
        new RegExp(`Kafka at ${kafka.brokers[0]} doesn't let this user use the topic "${topics.events}"`),
      );
      assert.match(said, /grant it READ or WRITE/);
    });

    test("writing statuses: the relay says so and goes on when it may", async () => {
      await using scenario = await newScenario();
      const { status } = topicsOf(scenario);
      await forbid(scenario, "TOPIC", status, "WRITE");
      const relay = await startRelay(scenario, await limited());
      await scenario.produce(optOuts(0, 3));
      const complaint = await waitFor("the relay to complain", () =>
        relay.logs().find(({ msg }) => msg === "publishing results failed; it is retried"),
      );
      assert.match(
        String(complaint.error),
        new RegExp(`doesn't let this user use the topic "${status}": grant it`),
      );
      await scenario.admin.deleteAcls({
        filters: [
          {
            resourceType: Resource.TOPIC,
            resourceName: status,
            resourcePatternType: Pattern.LITERAL,
            operation: Operation.WRITE,
            permissionType: Permission.DENY,
          },
        ],
      });
      await scenario.allSettled();
      assert.equal((await scenario.statuses()).length, 3);
    });

    test("writing events: the gateway answers 503, and its log says why", async () => {
      await using scenario = await newScenario();
      const topics = topicsOf(scenario);
      await forbid(scenario, "TOPIC", topics.events, "WRITE");
      const config = await access.configuration(await limited(), { topics });
      await using gateway = runCli(["gateway", "--config", config]);
      await waitFor("the gateway to be connected", () =>
        gateway.logs().some(({ msg }) => msg === "connected to Kafka"),
      );
      const answer = await postOptOut(gateway, "+12125550123");
      assert.equal(answer.status, 503);
      assert.ok(Number(answer.headers.get("retry-after")) > 0);
      const complaint = await waitFor("the gateway to complain", () =>
        gateway.logs().find(({ reason }) => typeof reason === "string"),
      );
      assert.match(
        String(complaint.reason),
        new RegExp(`doesn't let this user use the topic "${topics.events}"`),
      );
    });

    test("creating topics: the command ends", async () => {
      await using scenario = await newScenario();
      const events = `not-${topicsOf(scenario).events}`;
      await forbid(scenario, "CLUSTER", "kafka-cluster", "CREATE");
      await forbid(scenario, "TOPIC", events, "CREATE");
      const kafka = await limited();
      const said = await access.refusal("topics", kafka, { topics: { ...topicsOf(scenario), events } });
      assert.match(
        said,
        new RegExp(`doesn't let this user use the topic "${events}": grant it .*CREATE to create it`),
      );
    });
  });
});

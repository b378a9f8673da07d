import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { AclEntry } from "kafkajs";
import { readPackageFile } from "../../src/package-files.ts";
import { Operation, Pattern, Permission, Resource } from "../support/acls.ts";
import { commandEnv } from "../support/command-env.ts";
import { plainListener } from "../support/plain-login.ts";
import { type CliProcess, finished, runCli } from "../support/process.ts";
import { createScenario, optOut, phoneOf, type Scenario } from "../support/scenario.ts";
import { postOptOut } from "../support/secured-access.ts";
import { releaseStack, startTestStack } from "../support/stack.ts";
import { waitFor } from "../support/wait.ts";

type OperationName = "READ" | "WRITE" | "CREATE" | "DESCRIBE" | "DESCRIBE_CONFIGS";
type Column = "events" | "status" | "dead-letter" | "group" | "cluster";
interface Right {
  on: Column;
  operation: OperationName;
}

const COLUMNS: readonly Column[] = ["events", "status", "dead-letter", "group", "cluster"];
const PASSWORD = "right-Horse-7291";

/** The table of docs/how-to/kafka.md: what each command needs. */
const rows = new Map(
  [...readPackageFile("docs/how-to/kafka.md").matchAll(/^\| `(\w+)`[^|]*\|(.+)\|$/gm)].map(
    ([, command = "", cells = ""]) => [
      command,
      cells.split("|").flatMap((cell, index) => {
        const on = COLUMNS[index];
        assert.ok(on !== undefined);
        return [...cell.matchAll(/\w+/g)].map(([operation]) => ({
          on,
          operation: operation as OperationName,
        }));
      }),
    ],
  ),
);
const rightsOf = (command: string): Right[] => rows.get(command) ?? [];

/** Commands that look, once: their arguments. */
const ONCE: Record<string, string[]> = {
  trace: [phoneOf(2)],
  ledger: [],
  evidence: ["--from", "1d", "--format", "json"],
  redrive: ["--all", "--again", "--yes"],
};

describe("the rights that docs/how-to/kafka.md names, where nothing else is allowed", () => {
  let stack: Awaited<ReturnType<typeof startTestStack>>;
  let scenario: Scenario;
  const users = [...rows.keys()];
  before(async () => {
    const logins = users.map((username) => ({ username, password: PASSWORD }));
    stack = await startTestStack({
      registry: false,
      listeners: { login: plainListener(...logins) },
      brokerConfig: {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
      },
    });
    scenario = await createScenario({ brokers: [...stack.brokers], environments: ["production"] });
  });
  after(async () => {
    await scenario?.[Symbol.asyncDispose]();
    await stack?.stop();
    await releaseStack();
  });

  const aclOf = (user: string, { on, operation }: Right): AclEntry => {
    const { kafka, topics } = scenario.config;
    const names = {
      events: topics.events,
      status: topics.status,
      "dead-letter": topics.deadLetter,
      group: kafka.groupId,
      cluster: "kafka-cluster",
    };
    const types: Partial<Record<Column, number>> = { group: Resource.GROUP, cluster: Resource.CLUSTER };
    return {
      resourceType: types[on] ?? Resource.TOPIC,
      resourceName: names[on],
      resourcePatternType: Pattern.LITERAL,
      host: "*",
      principal: `User:${user}`,
      operation: Operation[operation],
      permissionType: Permission.ALLOW,
    };
  };
  /** These and no others. */
  const allow = async (user: string, rights: readonly Right[]): Promise<void> => {
    const any = {
      resourceType: Resource.ANY,
      resourcePatternType: Pattern.ANY,
      operation: Operation.ANY,
      permissionType: Permission.ANY,
    };
    await scenario.admin.deleteAcls({ filters: [{ ...any, principal: `User:${user}` }] });
    if (rights.length > 0)
      await scenario.admin.createAcls({ acl: rights.map((right) => aclOf(user, right)) });
  };
  const start = (user: string, command: string, args: string[] = []): CliProcess =>
    runCli([command, ...args], {
      env: {
        ...commandEnv(scenario.config),
        OPTOUT_KAFKA__BROKERS: stack.listeners.login ?? "",
        OPTOUT_KAFKA__SASL__MECHANISM: "plain",
        OPTOUT_KAFKA__SASL__USERNAME: user,
        OPTOUT_KAFKA__SASL__PASSWORD: PASSWORD,
        OPTOUT_SERVER__PORT: "0",
        OPTOUT_GATEWAY__PORT: "0",
        OPTOUT_BATCHING__MAX_WAIT: "100ms",
      },
    });

  test("are of every command that uses Kafka", () => {
    assert.deepEqual(users, [
      "relay",
      "gateway",
      "trace",
      "ledger",
      "evidence",
      "redrive",
      "topics",
      "check",
    ]);
    assert.equal(rightsOf("redrive").length, 5);
  });

  test("let `topics` create them, the gateway take an opt-out, and the relay deliver it", async () => {
    const { topics } = scenario.config;
    await scenario.admin.deleteTopics({ topics: Object.values(topics) });
    await allow("topics", rightsOf("topics"));
    await using creating = start("topics", "topics");
    assert.equal(await finished(creating), 0, creating.stderr());
    assert.equal(creating.stdout().match(/created/g)?.length, 3, creating.stdout());

    await allow("gateway", rightsOf("gateway"));
    await using gateway = start("gateway", "gateway");
    await waitFor(
      "the gateway to take an opt-out",
      async () => (await postOptOut(gateway, phoneOf(0))).status === 202,
    );

    await allow("relay", rightsOf("relay"));
    await using relay = start("relay", "relay");
    await scenario.produce([optOut(1), { value: "{}" }]);
    await scenario.allSettled();
    assert.deepEqual((await scenario.statuses()).map(({ outcome }) => outcome).sort(), [
      "delivered",
      "delivered",
      "rejected",
    ]);
    assert.equal((await scenario.deadLetters()).length, 1);
    assert.ok(relay.running, relay.stderr());

    // Left pending, for the commands below to read it.
    relay.kill("SIGTERM");
    await relay.exit;
    await scenario.produce([optOut(2)]);
  });

  for (const [command, args] of Object.entries(ONCE)) {
    test(`let \`${command}\` do its work`, async () => {
      await allow(command, rightsOf(command));
      await using all = start(command, command, args);
      assert.equal(await finished(all), 0, all.stdout() + all.stderr());
      if (command === "trace") assert.match(all.stdout(), /\b[1-9]\d* pending of/);
      if (command === "evidence") assert.doesNotMatch(all.stdout(), /"unsettled":(null|0)/);
      if (command === "redrive") assert.match(all.stdout(), /1 of 1 event sent/);
    });
  }

  test("let `check` look at everything that the relay needs", async () => {
    await allow("check", [...rightsOf("relay"), ...rightsOf("check")]);
    await using all = start("check", "check");
    assert.equal(await finished(all), 0, all.stdout() + all.stderr());
    assert.match(all.stdout(), / 0 failed, 0 not checked\.\n$/);

    await allow("check", rightsOf("relay"));
    await using some = start("check", "check");
    assert.equal(await finished(some), 0, some.stdout() + some.stderr());
    assert.match(
      some.stdout(),
      / 0 failed, 5 not checked\.\n$/,
      "three topics' settings, two of the cluster",
    );
  });
});

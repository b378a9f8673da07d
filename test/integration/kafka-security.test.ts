import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { finished, runCli } from "../support/process.ts";
import { createScenario, phoneOf, phones } from "../support/scenario.ts";
import {
  type Access,
  assertQuiet,
  createSecuredAccess,
  postOptOut,
  type SecuredAccess,
  urlOf,
} from "../support/secured-access.ts";
import { RELAY, type SecuredStack, startSecuredStack } from "../support/secured-stack.ts";
import { releaseStack } from "../support/stack.ts";
import { CLIENT, createTokenServer, type TokenServer } from "../support/token-server.ts";
import { assertOnEveryList } from "../support/verify.ts";
import { waitFor } from "../support/wait.ts";

describe("Kafka security", { concurrency: 2 }, () => {
  let secured: SecuredStack;
  let access: SecuredAccess;
  /** Signs its tokens with a key that the broker doesn't know. */
  let forger: TokenServer;
  before(async () => {
    secured = await startSecuredStack();
    access = createSecuredAccess(secured);
    forger = await createTokenServer(join(secured.folder, "unknown-keys.json"));
  });
  after(async () => {
    await forger.close();
    await secured.stop();
    await releaseStack();
  });
  const caFile = (): string => secured.authority.caFile;

  const ways: [what: string, way: () => Access | Promise<Access>][] = [
    ["TLS", () => access.over("tls")],
    [
      "TLS with a client certificate",
      () => access.over("mtls", { ssl: { caFile: caFile(), ...secured.client } }),
    ],
    [
      "TLS to the name that the certificate is for",
      () => access.over("elsewhere", { ssl: { caFile: caFile(), servername: "kafka.internal" } }),
    ],
    ["PLAIN", async () => access.over("login", { sasl: await access.passwordLogin("plain") })],
    [
      "SCRAM-SHA-256",
      async () => access.over("login", { sasl: await access.passwordLogin("scram-sha-256") }),
    ],
    [
      "SCRAM-SHA-512",
      async () => access.over("login", { sasl: await access.passwordLogin("scram-sha-512") }),
    ],
    ["OAUTHBEARER", async () => access.over("oauth", { sasl: await access.tokenLogin() })],
  ];
  describe("topics are created, and an opt-out comes through from the gateway to the list", {
    concurrency: 2,
  }, () => {
    for (const [what, way] of ways) {
      test(`over ${what}`, async () => {
        const kafka = await way();
        const id = randomUUID().slice(0, 8);
        const topics = { events: `e-${id}`, status: `s-${id}`, deadLetter: `d-${id}` };
        await using command = runCli(["topics", "--config", await access.configuration(kafka, { topics })]);
        await using scenario = await createScenario({
          brokers: [secured.plain],
          environments: ["production"],
        });
        const gatewayConfig = await access.configuration(kafka, { topics: scenario.config.topics });
        await using gateway = runCli(["gateway", "--config", gatewayConfig]);
        const relay = await scenario.startRelay({
          change: (config) => {
            config.kafka = { ...config.kafka, ...kafka };
            config.logging = { level: "trace" };
          },
        });
        assert.equal(await finished(command), 0, command.stderr());
        assert.match(command.stdout(), new RegExp(`${topics.deadLetter} .*created`));
        await waitFor(
          "the gateway to be ready",
          async () => (await fetch(`${await urlOf(gateway)}/readyz`)).ok,
        );
        assert.equal((await postOptOut(gateway, phoneOf(1))).status, 202);
        await scenario.allSettled();
        assertOnEveryList(scenario, phones(1, 2));
        for (const process of [relay, gateway]) {
          process.kill("SIGTERM");
          assert.deepEqual(await process.exit, { code: 0, signal: null });
          assertQuiet(process);
        }
        access.assertKept(command, gateway, relay);
      });
    }
  });

  const wrong = "wrong-Horse-1";
  const refusals: [what: string, command: string, way: () => Access | Promise<Access>, words: RegExp[]][] = [
    [
      "an authority that didn't sign the broker's certificate",
      "topics",
      () => access.over("tls", { ssl: { caFile: secured.stranger.caFile } }),
      [/certificate of 127\.0\.0\.1:\d+ isn't trusted: unable to verify/, /Set kafka\.ssl\.caFile/],
    ],
    [
      "an expired certificate",
      "relay",
      () => access.over("expired"),
      [/certificate of 127\.0\.0\.1:\d+ is out of date\. Renew it/],
    ],
    [
      "a certificate for another host",
      "gateway",
      () => access.over("elsewhere"),
      [/certificate of 127\.0\.0\.1:\d+ is for another host name/, /set kafka\.ssl\.servername/],
    ],
    [
      "no client certificate where one is asked for",
      "topics",
      () => access.over("mtls"),
      [/127\.0\.0\.1:\d+ asks for a client certificate/, /Set kafka\.ssl\.certFile and keyFile/],
    ],
    [
      "a client certificate of another authority",
      "relay",
      async () => {
        const certificate = await secured.stranger.issue({ name: "relay" });
        return access.over("mtls", { ssl: { caFile: caFile(), ...certificate } });
      },
      [/127\.0\.0\.1:\d+ asks for a client certificate, and refuses the one it got/],
    ],
    [
      "an expired client certificate",
      "topics",
      async () => {
        const certificate = await secured.authority.issue({ name: "relay", days: 0 });
        return access.over("mtls", { ssl: { caFile: caFile(), ...certificate } });
      },
      [/127\.0\.0\.1:\d+ asks for a client certificate, and refuses the one it got/, /isn't expired/],
    ],
    [
      "a key that isn't the certificate's",
      "topics",
      async () => {
        const { keyFile } = await secured.authority.issue({ name: "other" });
        return access.over("mtls", { ssl: { caFile: caFile(), certFile: secured.client.certFile, keyFile } });
      },
      [/kafka\.ssl\.certFile and kafka\.ssl\.keyFile: the key isn't the certificate's/],
    ],
    [
      "a file of authorities without a certificate",
      "gateway",
      async () => {
        const file = join(secured.folder, "empty.pem");
        await writeFile(file, "\n");
        return access.over("tls", { ssl: { caFile: file } });
      },
      [/kafka\.ssl\.caFile: ".*empty\.pem" holds no certificate; expected a PEM file/],
    ],
    ...(["plain", "scram-sha-256", "scram-sha-512"] as const).flatMap((mechanism): typeof refusals => [
      [
        `a wrong password by ${mechanism}`,
        "topics",
        async () =>
          access.over("login", {
            sasl: await access.passwordLogin(mechanism, { ...RELAY, password: wrong }),
          }),
        [/127\.0\.0\.1:\d+ refused the login/, /Check kafka\.sasl/],
      ],
      [
        `a user that doesn't exist, by ${mechanism}`,
        "relay",
        async () =>
          access.over("login", {
            sasl: await access.passwordLogin(mechanism, { username: "nobody", password: wrong }),
          }),
        [/127\.0\.0\.1:\d+ refused the login/, /that the user exists/],
      ],
    ]),
    [
      "a mechanism that the listener doesn't have",
      "gateway",
      async () => access.over("oauth", { sasl: await access.passwordLogin("scram-sha-512") }),
      [/127\.0\.0\.1:\d+ doesn't offer the login mechanism/, /kafka\.sasl\.mechanism/],
    ],
    [
      "a token server that isn't there",
      "topics",
      async () =>
        access.over("oauth", {
          sasl: await access.tokenLogin({ url: "http://127.0.0.1:9/token" }),
        }),
      [
        /Can't get a Kafka token from http:\/\/127\.0\.0\.1:9\/token: connect ECONNREFUSED/,
        /Check kafka\.sasl\.tokenUrl/,
      ],
    ],
    [
      "a wrong client secret",
      "relay",
      async () => {
        return access.over("oauth", {
          sasl: await access.tokenLogin({ client: { ...CLIENT, secret: wrong } }),
        });
      },
      [/token server http:\/\/127\.0\.0\.1:\d+\/token gave no Kafka token: it answered 401/, /clientSecret/],
    ],
    [
      "a token that the broker doesn't accept",
      "gateway",
      async () => access.over("oauth", { sasl: await access.tokenLogin(forger) }),
      [
        /Kafka at 127\.0\.0\.1:\d+ refused the token of kafka\.sasl\.tokenUrl \(invalid_token\)/,
        /kafka\.sasl\.scope/,
      ],
    ],
  ];
  describe("who isn't let in is told why, by what, and what to do", { concurrency: 8 }, () => {
    for (const [what, command, way, words] of refusals) {
      test(`${what} (${command})`, async () => {
        const said = await access.refusal(command, await way());
        for (const each of words) assert.match(said, each);
      });
    }
  });
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { configSchema } from "../../src/config/schema.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { CLI, finished, runCli } from "../support/process.ts";
import { waitFor } from "../support/wait.ts";

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

async function run(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  await using cli = runCli(args, { env });
  const code = await finished(cli);
  return { code, stdout: cli.stdout(), stderr: cli.stderr() };
}

/** A terminal of 80 columns. */
function assertFits(help: string): void {
  const wide = help.split("\n").filter((line) => line.length > 80);
  assert.deepEqual(wide, []);
}

/** What the relay's help says of the configuration. */
const SECTIONS = [
  ...Object.keys(configSchema.shape).map((section) => new RegExp(`^  ${section} `, "m")),
  /schemas\/config\.schema\.json/,
  /OPTOUT_KAFKA__BROKERS=a:9092,b:9092/,
  /for so long \(10s\)/,
];

/** Every command, with what its help must name. */
const COMMANDS: Record<string, RegExp[]> = {
  relay: [
    /--config <file>/,
    /OPTOUT_CONFIG/,
    /\/readyz/,
    /\/metrics/,
    /SIGTERM/,
    /kafka: \{brokers/,
    ...SECTIONS,
  ],
  gateway: [/--config <file>/, /OPTOUT_CONFIG/, /POST \/opt-out/, /only if gateway\.apiKeys/],
  simulator: [
    /--port <port>/,
    /--host <host>/,
    /--environments <names>/,
    /--requests-per-second <n>/,
    /default:\s+production,us-west,eu-central\)/,
    /baseUrl: http/,
    /rejectPhones/,
    /"outage"/,
    /Exit codes/,
  ],
  quickstart: [/--exit/, /--events <n>/, /--brokers <list>/, /Exit codes/],
  check: [/--config <file>/, /--json/, /--timeout <duration>/, /optout-relay check --config/, /Exit codes/],
  size: [
    /--config <file>/,
    /--events-per-second <n>/,
    /--partitions <n>/,
    /--replicas <n>/,
    /--outage <duration>/,
    /--json/,
    /Exit code/,
  ],
  topics: [
    /--config <file>/,
    /--partitions <n>/,
    /--replication-factor <n>/,
    /optout-relay topics --config/,
    /Exit codes/,
  ],
  redrive: [/--reason <code>/, /--dry-run/, /--json/, /refused_by_environment/, /--since 2h/, /Exit code/],
  evidence: [
    /--from <time>/,
    /--to <time>/,
    /--format <format>/,
    /--reveal/,
    /--output <file>/,
    /was received/,
    /timeToHonourSeconds/,
    /apostrophe/,
    /Exit code/,
  ],
  lint: [/\[file\]/, /--default-region <code>/, /--json/, /Exit code/],
};

describe("the command line", { concurrency: 2 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "optout-cli-"));
  after(() => rmSync(folder, { recursive: true }));
  const fileOf = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text);
    return file;
  };

  test("--help names every command, where to begin, and the exit codes", async () => {
    const { code, stdout, stderr } = await run(["--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    for (const name of Object.keys(COMMANDS)) assert.match(stdout, new RegExp(`^  ${name} `, "m"));
    assert.match(stdout, /quickstart --exit/);
    assert.match(stdout, /Exit codes: 0 .*, 1 .*, 2 /);
    assertFits(stdout);
  });

  test("a reader of its output that left is no failure to be told of", async () => {
    const config = fileOf("unreadable.yaml", "kafka: [");
    const args = [CLI, "check", "--json", "--config", config];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    const told: Buffer[] = [];
    child.stderr.on("data", (chunk: Buffer) => told.push(chunk));
    const [code] = await once(child, "close");
    assert.deepEqual([code, Buffer.concat(told).toString()], [1, ""]);
  });

  for (const [name, mentions] of Object.entries(COMMANDS)) {
    test(`${name} --help says what it is for and names its options`, async () => {
      const { code, stdout, stderr } = await run([name, "--help"]);
      assert.deepEqual([code, stderr], [0, ""]);
      assert.match(stdout, new RegExp(`^Usage: optout-relay ${name} `));
      for (const mention of [...mentions, /-h, --help/]) assert.match(stdout, mention);
      if (["relay", "gateway", "simulator", "topics"].includes(name)) assertFits(stdout);
    });
  }

  test("--version is the package's", async () => {
    const manifest: unknown = JSON.parse(readPackageFile("package.json"));
    assert.ok(typeof manifest === "object" && manifest !== null && "version" in manifest);
    assert.deepEqual(await run(["--version"]), { code: 0, stdout: `${manifest.version}\n`, stderr: "" });
  });

  for (const [what, args, says] of [
    ["nothing at all", [], /^Usage: optout-relay .*\[command\]/],
    ["an unknown command", ["frobnicate"], /unknown command 'frobnicate'\n.*optout-relay --help/],
    ["a misspelt command", ["realy"], /unknown command 'realy'\n\(Did you mean relay\?\)/],
    ["an unknown option", ["relay", "--nope"], /unknown option '--nope'\n.*optout-relay relay --help/],
    ["a misspelt option", ["relay", "--cofnig", "x"], /'--cofnig'\n\(Did you mean --config\?\)/],
    ["an option without its value", ["relay", "--config"], /'-c, --config <file>' argument missing/],
    ["an argument too many", ["relay", "x"], /too many arguments.*\n.*optout-relay relay --help/],
    ["a broker without a port", ["quickstart", "--brokers", "nope"], /'--brokers <list>'.*host:port/],
    [
      "a registry without brokers",
      ["quickstart", "--registry", "http://localhost:8081"],
      /--registry is for a Kafka of your own: name its brokers with --brokers/,
    ],
    ["a value out of range", ["topics", "--partitions", "0"], /--partitions.*from 1 to 10000/],
  ] as const) {
    test(`${what} is wrong usage, with a hint`, async () => {
      const { code, stdout, stderr } = await run([...args]);
      assert.equal(code, 2);
      assert.equal(stdout, "");
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /\n +at /);
    });
  }

  for (const command of ["relay", "gateway", "check", "topics"]) {
    test(`${command} without any configuration says how to give one and what is needed`, async () => {
      const { code, stdout, stderr } = await run([command]);
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(
        stderr,
        /^optout-relay: No configuration file was named \(--config FILE or OPTOUT_CONFIG\)/,
      );
      assert.match(stderr, /\n {2}kafka is missing: .*brokers.*\n {2}environments is missing: /);
      assert.match(stderr, /\nThe smallest configuration is in: optout-relay relay --help\n$/);
      assert.equal(stderr.trimEnd().split("\n").length, 4);
    });
  }

  test("a configuration file that isn't there is named, with the ways to give one", async () => {
    const { code, stderr } = await run(["relay", "--config", "/no/such.yaml"]);
    assert.equal(code, 1);
    assert.match(stderr, /^optout-relay: .*"\/no\/such\.yaml".*no such file.*--config or OPTOUT_CONFIG\n$/);
  });

  test("a wrong configuration is refused in one message that has every problem and no secret", async () => {
    const file = fileOf(
      "wrong.yaml",
      `kafka:
  brokers: localhost
  sasl: {mechanism: plain, username: relay, pasword: hunter2}
batching: {maxWait: 10, maxEntrys: 5}
environments:
  - name: production
    baseUrl: ftp://user:hunter3@api.example.com
    auth: {clientId: relay, clientSecret: 12345678}
    requestsPerSecond: \${RATE}
logging: {level: loud}
`,
    );
    const env = {
      OPTOUT_SERVER__PORT: "http",
      OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET: "",
      RATE: "hunter4",
    };
    const { code, stdout, stderr } = await run(["relay", "--config", file], env);
    assert.deepEqual([code, stdout], [1, ""]);
    const [headline = "", ...lines] = stderr.trimEnd().split("\n");
    assert.match(headline, /^optout-relay: The configuration .*wrong\.yaml has \d+ problems:$/);
    assert.equal(lines.length, Number(/has (\d+) problems/.exec(headline)?.[1]));
    for (const says of [
      /kafka\.brokers.*\(line 2\).*host:port/,
      /kafka\.sasl\.pasword.*did you mean password\?/,
      /kafka\.sasl\.password is missing/,
      /batching\.maxWait = 10.*"10s"/,
      /batching\.maxEntrys.*did you mean maxEntries\?/,
      /environments\[0\]\.baseUrl.*https:\/\//,
      /environments\[0\]\.auth\.clientSecret.*OPTOUT_ENVIRONMENTS__0__AUTH__CLIENT_SECRET/,
      /environments\[0\]\.requestsPerSecond = \*\*\*/,
      /logging\.level = "loud".*info/,
      /server\.port = "http" \(from OPTOUT_SERVER__PORT\)/,
    ]) {
      assert.ok(
        lines.some((line) => says.test(line)),
        `no line matches ${says} in:\n${stderr}`,
      );
    }
    assert.doesNotMatch(stderr, /hunter|12345678/);
    assert.doesNotMatch(stderr, /\n +at /, "a stack trace");
  });

  for (const [command, ready] of [
    ["relay", /are served/],
    ["gateway", /is listening/],
  ] as const) {
    test(`${command} that never reached Kafka says "stopped" last, and goes with code 0`, async () => {
      const file = fileOf(
        `${command}.yaml`,
        `kafka: {brokers: ["127.0.0.1:1"]}
environments: [{name: production, baseUrl: "http://127.0.0.1:1", auth: {clientId: a, clientSecret: b}}]
server: {port: 0}
gateway: {port: 0}
`,
      );
      await using cli = runCli([command, "--config", file]);
      await waitFor("its start", () => ready.test(cli.stdout()));
      cli.kill("SIGTERM");
      assert.equal(await finished(cli), 0);
      assert.equal(cli.logs().at(-1)?.msg, "stopped");
      assert.equal(cli.stderr(), "");
    });
  }

  for (const [signal, exitCode] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    test(`a quickstart that ${signal} stops before it is done has not failed, and exits with ${exitCode}`, async () => {
      await using cli = runCli(["quickstart", "--brokers", "127.0.0.1:1"]);
      await waitFor("its first step", () => cli.stdout().includes("✓"));
      cli.kill(signal);
      assert.equal(await finished(cli), exitCode);
      assert.match(cli.stdout(), /\nStopping\.\nStopped\.\n$/);
      assert.doesNotMatch(cli.stdout(), /✗/);
      assert.equal(cli.stderr(), "");
    });
  }

  test("a file that isn't YAML is refused with the line", async () => {
    const { code, stderr } = await run(["relay", "--config", fileOf("torn.yaml", "kafka: {brokers: [a:1\n")]);
    assert.equal(code, 1);
    assert.match(stderr, /^optout-relay: The configuration .*torn\.yaml has \d+ problems?:\n {2}line \d+: /);
    assert.doesNotMatch(stderr, /\n +at /);
  });
});

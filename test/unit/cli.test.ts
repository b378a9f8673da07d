import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { readPackageFile } from "../../src/package-files.ts";
import { finished, runCli } from "../support/process.ts";

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

/** Every command, with what its help must name. */
const COMMANDS: Record<string, RegExp[]> = {
  relay: [/--config <file>/, /OPTOUT_CONFIG/, /\/readyz/, /\/metrics/, /SIGTERM/, /kafka: \{brokers/],
  gateway: [/--config <file>/, /OPTOUT_CONFIG/, /POST \/opt-out/],
  simulator: [/--port <port>/, /--host <host>/, /--environments <names>/, /--requests-per-second <n>/],
  quickstart: [/--exit/, /--events <n>/, /--brokers <list>/],
  check: [/--config <file>/, /--json/, /--timeout <duration>/, /optout-relay check --config/, /Exit codes/],
  topics: [/--config <file>/, /--partitions <n>/, /--replication-factor <n>/],
  redrive: [/--reason <code>/, /--dry-run/, /--json/, /refused_by_environment/, /--since 2h/, /Exit code/],
  lint: [/\[file\]/, /--default-region <code>/, /Exit code/],
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

  for (const [name, mentions] of Object.entries(COMMANDS)) {
    test(`${name} --help says what it is for and names its options`, async () => {
      const { code, stdout, stderr } = await run([name, "--help"]);
      assert.deepEqual([code, stderr], [0, ""]);
      assert.match(stdout, new RegExp(`^Usage: optout-relay ${name} `));
      for (const mention of [...mentions, /-h, --help/]) assert.match(stdout, mention);
      if (name === "relay") assertFits(stdout);
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
      assert.equal(stderr.trimEnd().split("\n").length, 3);
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

  test("a file that isn't YAML is refused with the line", async () => {
    const { code, stderr } = await run(["relay", "--config", fileOf("torn.yaml", "kafka: {brokers: [a:1\n")]);
    assert.equal(code, 1);
    assert.match(stderr, /^optout-relay: The configuration .*torn\.yaml has \d+ problems?:\n {2}line \d+: /);
    assert.doesNotMatch(stderr, /\n +at /);
  });
});

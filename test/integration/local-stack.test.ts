import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { promisify } from "node:util";
import type { Consumer } from "kafkajs";
import { OptoutError } from "../../src/errors.ts";
import {
  type Artifact,
  artifactFolder,
  downloadArtifact,
  isCached,
} from "../../src/local-stack/artifacts.ts";
import { type LocalStack, startLocalStack } from "../../src/local-stack/local-stack.ts";
import { createTopics, testKafka } from "../support/kafka.ts";
import { waitFor } from "../support/wait.ts";

const run = promisify(execFile);

// A place for temporary data that no other process uses at the same time.
const place = await mkdtemp(join(tmpdir(), "local-stack-test-"));
process.env.TMPDIR = place;
after(() => rm(place, { recursive: true, force: true }));

describe("a local stack", () => {
  let stack: LocalStack;
  before(async () => {
    stack = await startLocalStack();
  });
  after(() => stack.stop());

  it("takes records, gives them to a group, and has them still after the broker was restarted, and killed", async () => {
    const kafka = testKafka(stack.brokers);
    const admin = kafka.admin();
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    await Promise.all([admin.connect(), producer.connect()]);
    await createTopics(admin, [{ topic: "kept", numPartitions: 2 }]);
    const quick = { sessionTimeout: 1_000, heartbeatInterval: 300 };
    const values = Array.from({ length: 20 }, (_, index) => `value ${index}`);
    await producer.send({ topic: "kept", messages: values.map((value) => ({ key: value, value })) });
    assert.deepEqual(await readAll(kafka.consumer({ groupId: "before", ...quick }), 20), [...values.sort()]);
    await Promise.all([admin.disconnect(), producer.disconnect()]);

    const old = stack.pids().kafka;
    await stack.restartBroker();
    assert.notEqual(stack.pids().kafka, old);
    assert.deepEqual(await readAll(kafka.consumer({ groupId: "after", ...quick }), 20), values);

    await stack.killBroker();
    assert.equal(stack.pids().kafka, undefined);
    await stack.startBroker();
    assert.deepEqual(await readAll(kafka.consumer({ groupId: "last", ...quick }), 20), values);
  });

  it("has a registry that takes a schema, forgets it when restarted, and keeps its address", async () => {
    const url = `${stack.registryUrl}/subjects`;
    const schema = JSON.stringify({ schema: JSON.stringify({ type: "string" }) });
    const headers = { "content-type": "application/vnd.schemaregistry.v1+json" };
    const registered = await fetch(`${url}/thing-value/versions`, { method: "POST", headers, body: schema });
    assert.equal(registered.status, 200);
    assert.deepEqual(await (await fetch(url)).json(), ["thing-value"]);
    await stack.stopRegistry();
    await assert.rejects(fetch(url));
    await stack.startRegistry();
    assert.deepEqual(await (await fetch(url)).json(), []);
  });

  it("runs outside the terminal's process group, so that Ctrl-C reaches its owner alone", async () => {
    const groups = await run("ps", ["-o", "pgid=", "-p", `${process.pid},${stack.pids().kafka}`]);
    const [own, kafka] = groups.stdout.trim().split(/\s+/);
    assert.ok(own && kafka);
    assert.notEqual(own, kafka);
  });

  it("leaves no process and no folder when stopped, and can be stopped twice", async () => {
    const folders = await stackFolders();
    const own = await startLocalStack({ registry: false });
    const { kafka } = own.pids();
    assert.ok(kafka && isAlive(kafka));
    await Promise.all([own.stop(), own.stop()]);
    assert.ok(!isAlive(kafka));
    assert.deepEqual(await stackFolders(), folders);
    await assert.rejects(own.startBroker(), /has been stopped/);
  });

  it("is gone soon after its owner was killed, with its data", async () => {
    const folders = await stackFolders();
    const owner = startOwner();
    const [line] = await once(createInterface(owner.stdout), "line");
    const { kafka, registry } = JSON.parse(line);
    assert.ok(isAlive(kafka) && isAlive(registry));
    owner.kill("SIGKILL");
    await waitFor("the servers to end", () => !isAlive(kafka) && !isAlive(registry));
    await waitFor("the data to go", async () => (await stackFolders()).length === folders.length);
  });

  it("gives up on a signal, and leaves nothing", async () => {
    const folders = await stackFolders();
    const reason = new Error("enough");
    const abort = new AbortController();
    const starting = startLocalStack({ signal: abort.signal });
    const failed = assert.rejects(starting, reason);
    await waitFor("the start to begin", async () => (await stackFolders()).length > folders.length);
    abort.abort(reason);
    await failed;
    assert.deepEqual(await stackFolders(), folders);
  });
});

describe("a local stack that can't start", () => {
  let folder: string;
  const environment = { ...process.env };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "local-stack-test-"));
    await mkdir(join(folder, "bin"));
  });
  afterEach(async () => {
    for (const name of ["PATH", "JAVA_HOME", "XDG_CACHE_HOME"]) restore(name, environment[name]);
    await rm(folder, { recursive: true, force: true });
  });

  /** Leaves only the given commands on the PATH, each a shell script, and an empty cache. */
  async function useCommands(commands: Record<string, string>): Promise<void> {
    for (const [name, script] of Object.entries(commands)) {
      await writeFile(join(folder, "bin", name), `#!/bin/sh\n${script}\n`);
      await chmod(join(folder, "bin", name), 0o755);
    }
    process.env.PATH = join(folder, "bin");
    delete process.env.JAVA_HOME;
    process.env.XDG_CACHE_HOME = join(folder, "cache");
  }

  it("names everything that is missing and the three ways out", async () => {
    await useCommands({});
    await assert.rejects(startLocalStack(), (error) => {
      assert.ok(error instanceof OptoutError);
      assert.equal(error.code, "local_stack");
      assert.match(error.message, /Java 17 or later \(`java`\) was not found/);
      assert.match(error.message, /Maven \(`mvn`\).* was not found/);
      assert.match(error.message, /install Java 17\+ and Maven/);
      assert.match(error.message, /docker compose up/);
      assert.match(error.message, /--brokers/);
      return true;
    });
  });

  it("says which Java was found when it is too old", async () => {
    await useCommands({ java: `echo 'openjdk version "1.8.0_402"' >&2`, mvn: "exit 0" });
    await assert.rejects(startLocalStack(), /Java 17 or later is needed, but `java` is Java 8/);
  });

  it("shows Maven's last lines and the remedy when a download fails, and caches nothing", async () => {
    await useCommands({
      java: `echo 'openjdk version "17.0.1"' >&2`,
      mvn: 'if [ "$1" = -v ]; then exit 0; fi; echo "[ERROR] Could not transfer artifact: repo.example is down"; exit 1',
    });
    await assert.rejects(startLocalStack({ registry: false }), (error) => {
      assert.ok(error instanceof OptoutError);
      assert.match(error.message, /Apache Kafka 4\.1\.1 could not be downloaded: mvn exited with 1/);
      assert.match(error.message, /repo\.example is down/);
      assert.match(error.message, /settings\.xml/);
      return true;
    });
    assert.deepEqual(await readdir(join(folder, "cache", "optout-relay")), []);
  });

  it("refuses a Kafka version that is none", async () => {
    await assert.rejects(startLocalStack({ kafkaVersion: "../4.1" }), { code: "usage" });
  });

  it("says so at once when the port it was given is in use", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    assert.ok(typeof address === "object" && address !== null);
    const starting = startLocalStack({ registry: false, brokerPort: address.port });
    await assert.rejects(starting, new RegExp(`port ${address.port} is in use`));
    other.close();
  });

  it("shows what Kafka says of a setting it doesn't take", async () => {
    const starting = startLocalStack({ registry: false, brokerConfig: { "log.retention.ms": "soon" } });
    await assert.rejects(starting, /Apache Kafka 4\.1\.1 refused[\s\S]*log\.retention\.ms/);
  });

  it("shows the end of the log of a server that ends while it starts, and where the log is", async () => {
    const data = join(folder, "kafka", "data");
    await mkdir(data, { recursive: true });
    await writeFile(join(data, "meta.properties"), "version=1\nnode.id=7\ncluster.id=other\n");
    await assert.rejects(startLocalStack({ registry: false, dataDir: folder }), (error) => {
      assert.ok(error instanceof OptoutError);
      assert.match(error.message, /Apache Kafka 4\.1\.1 ended while it was starting/);
      assert.ok(error.message.includes(join(folder, "kafka", "output.log")));
      assert.match(error.message, /node\.id|nodeId|node ID/i);
      return true;
    });
  });

  it("downloads once for two that need the same at once, and never uses half a download", async () => {
    const mvn = `for argument; do case "$argument" in -DoutputDirectory=*) /bin/mkdir "\${argument#*=}";; esac; done`;
    await useCommands({ mvn });
    const artifact: Artifact = {
      name: "thing",
      version: "1.0.0",
      title: "Thing",
      dependencies: [],
      unpack: false,
    };
    const { signal } = new AbortController();
    await mkdir(join(artifactFolder(artifact), "half"), { recursive: true });
    assert.equal(await isCached(artifact), false);
    await Promise.all([downloadArtifact(artifact, "mvn", signal), downloadArtifact(artifact, "mvn", signal)]);
    assert.equal(await isCached(artifact), true);
    await access(join(artifactFolder(artifact), "lib"));
    assert.deepEqual(await readdir(dirname(artifactFolder(artifact))), ["thing-1.0.0"]);
  });

  it("needs no Maven once everything is cached", async () => {
    const { stdout } = await run("/bin/sh", ["-c", "command -v java"]);
    await useCommands({ java: `exec ${stdout.trim()} "$@"` });
    restore("XDG_CACHE_HOME", environment.XDG_CACHE_HOME);
    await using stack = await startLocalStack({ kafka: false });
    assert.equal((await fetch(`${stack.registryUrl}/subjects`)).status, 200);
    assert.deepEqual(stack.brokers, []);
  });
});

async function readAll(consumer: Consumer, count: number): Promise<string[]> {
  const values: string[] = [];
  await consumer.connect();
  await consumer.subscribe({ topic: "kept", fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      values.push(String(message.value));
    },
  });
  await waitFor("all records to be read", () => values.length >= count);
  await consumer.disconnect();
  return values.sort();
}

/** A process of its own that starts a stack and prints the servers' process ids. */
function startOwner() {
  const module = new URL(`../../src/local-stack/local-stack${extname(import.meta.url)}`, import.meta.url)
    .href;
  const program = `
    import { startLocalStack } from ${JSON.stringify(module)};
    const stack = await startLocalStack();
    console.log(JSON.stringify(stack.pids()));`;
  return spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

const stackFolders = (): Promise<string[]> => readdir(tmpdir());

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

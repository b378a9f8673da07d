/**
 * What `npm test` runs: first it makes sure of the programs that the tests need, then come the unit tests, then the
 * integration tests over one Kafka and one schema registry that they share. Arguments are parts of file names:
 * `npm test -- ledger` runs the files that have one of them in their name; `--only unit` or `--only integration` runs
 * those alone, `--long` the ones that take minutes each and are left out otherwise.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { messageOf } from "../src/errors.ts";
import { startTestStack } from "./support/stack.ts";
import { provideTools, toolsFor } from "./support/tools.ts";

/**
 * Integration tests that have the machine for themselves: they hold a rate or what load does against a bound, catch a
 * process between two of its steps, or use all processors as it is. The others mostly wait, so two files share the time.
 */
const ALONE: ReadonlySet<string> = new Set([
  "chaos",
  "crash",
  "endurance",
  "gateway-load",
  "hostile",
  "kafka-security",
  "quota",
  "rebalance",
]);
/**
 * Minutes of a busy machine each: they run when they are asked for, by `npm run test:long`, or by name.
 */
const LONG: ReadonlySet<string> = new Set(["endurance", "hostile"]);
const isLong = (file: string): boolean => LONG.has(basename(file, ".test.js"));

const isAlone = (file: string): boolean => ALONE.has(basename(file, ".test.js"));

/** Of one file; it only has to end a test that hangs. */
const fileWithinMs = 15 * 60_000;
const stopping = new AbortController();
const { values, positionals: filters } = parseArgs({
  options: { only: { type: "string" }, long: { type: "boolean", default: false } },
  allowPositionals: true,
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => stopping.abort(new Error(`stopped by ${signal}`)));
}

try {
  process.exitCode = await main();
} catch (error) {
  say(`The tests could not be run: ${messageOf(error)}`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const [unit, integration] = await Promise.all([select("unit"), select("integration")]);
  if (unit.length + integration.length === 0) {
    say(`No test file has ${filters.map((filter) => `"${filter}"`).join(" or ")} in its name.`);
    return 1;
  }
  const tools = await toolsFor([...unit, ...integration], integration.length > 0);
  if (!(await provideTools(tools))) return 1;
  const first = await runFiles(unit, availableParallelism());
  if (integration.length === 0) return first;
  const second = await runIntegration(integration);
  return first || second;
}

async function runIntegration(files: string[]): Promise<number> {
  const { signal } = stopping;
  await using stack = await startTestStack({ onProgress: say, signal });
  const env = {
    OPTOUT_TEST_BROKERS: stack.brokers.join(","),
    OPTOUT_TEST_REGISTRY_URL: stack.registryUrl ?? "",
  };
  const [alone, together] = [files.filter(isAlone), files.filter((file) => !isAlone(file))];
  const first = await runFiles(together, 2, env);
  const second = await runFiles(alone, 1, env);
  return first || second;
}

async function select(kind: string): Promise<string[]> {
  if ((values.only ?? kind) !== kind) return [];
  const folder = fileURLToPath(new URL(`./${kind}/`, import.meta.url));
  const names = (await readdir(folder)).filter((name) => name.endsWith(".test.js")).sort();
  const wanted = names.filter((name) =>
    filters.length === 0 ? isLong(name) === values.long : filters.some((filter) => name.includes(filter)),
  );
  return wanted.map((name) => join(folder, name));
}

/** Resolves with an exit code; 1 also when a signal ended the run. `concurrency`: how many files run at a time. */
async function runFiles(
  files: string[],
  concurrency: number,
  env: Record<string, string> = {},
): Promise<number> {
  stopping.signal.throwIfAborted();
  // Node would look for tests itself.
  if (files.length === 0) return 0;
  const args = [
    "--enable-source-maps",
    "--test",
    "--test-reporter=spec",
    `--test-timeout=${fileWithinMs}`,
    `--test-concurrency=${concurrency}`,
    ...files,
  ];
  const child = spawn(process.execPath, args, { stdio: "inherit", env: { ...process.env, ...env } });
  const pass = (): boolean => child.kill("SIGTERM");
  stopping.signal.addEventListener("abort", pass);
  const [code] = await once(child, "exit");
  stopping.signal.removeEventListener("abort", pass);
  return code ?? 1;
}

function say(message: string): void {
  process.stdout.write(`${message}\n`);
}

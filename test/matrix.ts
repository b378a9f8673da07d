/**
 * `npm run test:matrix`: the tests over every Kafka and Node version that is supported, each with one version of the other.
 * Takes most of an hour. Arguments are parts of cells' names, such as "Node 24". Once every pair has passed, in one run or in
 * several, it writes `docs/compatibility.md`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../src/errors.ts";
import { table } from "../src/table.ts";

interface Cell {
  /** Major version; its newest release is used. */
  node: number;
  kafka: string;
}

/** Every version of either once; what depends on both at the same time would have to be in Kafka's protocol. */
const CELLS: Cell[] = [
  { node: 20, kafka: "4.1.1" },
  { node: 22, kafka: "3.9.2" },
  { node: 24, kafka: "4.4.0" },
  { node: 26, kafka: "4.1.1" },
];

/** What Node says of its test runner's own mocks before version 24, which nobody uses but the tests. */
const OF_THE_TESTS = /The MockTimers API is an experimental feature|^\(Use `node --trace-warnings/;

interface Result {
  cell: Cell;
  /** Of the sources that were tested. */
  commit: string;
  nodeVersion: string;
  passed: number;
  failed: number;
  /** Lines that Node printed as warnings, in any process. */
  warnings: number;
  /** What the tests ended with: 0, unless one failed or something that they need didn't start. */
  exitCode: number | null;
  minutes: number;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const work = join(root, ".matrix");
const filters = process.argv.slice(2);
const nameOf = ({ node, kafka }: Cell): string => `Node ${node}, Kafka ${kafka}`;

async function main(): Promise<number> {
  const cells = CELLS.filter((cell) => filters.every((filter) => nameOf(cell).includes(filter)));
  if (cells.length === 0)
    throw new Error(`No cell is called ${filters.join(" and ")}: ${CELLS.map(nameOf).join("; ")}.`);
  await mkdir(work, { recursive: true });
  const results: Result[] = [];
  for (const cell of cells) {
    say(`\n== ${nameOf(cell)}`);
    const result = await runCell(cell);
    await writeFile(fileOf(cell), JSON.stringify(result));
    results.push(result);
    say(report(results));
  }
  const known = (await Promise.all(CELLS.map(readResult))).filter((result) => result !== undefined);
  const passed = known.filter(isPassed);
  if (passed.length === CELLS.length) await writeFile(join(root, "docs", "compatibility.md"), page(passed));
  return results.every(isPassed) ? 0 : 1;
}

const isPassed = ({ exitCode, warnings }: Result): boolean => exitCode === 0 && warnings === 0;

const fileOf = ({ node, kafka }: Cell): string => join(work, `result-${node}-${kafka}.json`);

async function readResult(cell: Cell): Promise<Result | undefined> {
  const text = await readFile(fileOf(cell), "utf8").catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

/** The commit, and whether there was anything that isn't committed. */
async function sources(): Promise<string> {
  return (await run("git", ["describe", "--always", "--dirty"], { echo: false })).output.trim();
}

async function runCell(cell: Cell): Promise<Result> {
  const node = await nodeOf(cell.node);
  const commit = await sources();
  const warnings = join(work, `warnings-${cell.node}-${cell.kafka}.log`);
  await rm(warnings, { force: true });
  const startedAt = performance.now();
  const { output, exitCode } = await run(node, [join(root, ".build", "test", "run.js")], {
    env: {
      OPTOUT_TEST_KAFKA_VERSION: cell.kafka,
      // Of all processes, those that the tests start as well.
      NODE_OPTIONS: `--redirect-warnings=${warnings}`,
    },
  });
  const minutes = (performance.now() - startedAt) / 60_000;
  const sumOf = (what: string): number =>
    [...output.matchAll(new RegExp(`^ℹ ${what} (\\d+)$`, "gm"))].reduce(
      (sum, [, count]) => sum + Number(count),
      0,
    );
  const nodeVersion = (await run(node, ["--version"], { echo: false })).output.trim();
  const printed = await readFile(warnings, "utf8").catch(() => "");
  const warned = printed.split("\n").filter((line) => line !== "" && !OF_THE_TESTS.test(line));
  if (warned.length > 0) say(`Warnings:\n${warned.join("\n")}`);
  return {
    cell,
    commit,
    nodeVersion,
    passed: sumOf("pass"),
    failed: sumOf("fail"),
    warnings: warned.length,
    exitCode,
    minutes,
  };
}

/** Path of the newest release of a major version: the running one, or one from npm, where Node's own packages are. */
async function nodeOf(major: number): Promise<string> {
  if (process.version.startsWith(`v${major}.`)) return process.execPath;
  const name = `node-${process.platform}-${process.arch}`;
  const folder = join(work, `node-${major}`);
  await mkdir(folder, { recursive: true });
  const { exitCode } = await run("npm", [
    "install",
    "--prefix",
    folder,
    "--no-save",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    `${name}@${major}`,
  ]);
  if (exitCode !== 0) throw new Error(`${name}@${major} can't be installed.`);
  return join(folder, "node_modules", name, "bin", "node");
}

async function run(
  command: string,
  args: string[],
  { echo = true, env = {} }: { echo?: boolean; env?: Record<string, string> } = {},
): Promise<{ output: string; exitCode: number | null }> {
  const path = `${dirname(command)}:${process.env.PATH ?? ""}`;
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, PATH: path, ...env },
  });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    if (echo) process.stdout.write(chunk);
  });
  try {
    const [exitCode] = await once(child, "close");
    return { output: Buffer.concat(chunks).toString(), exitCode };
  } catch (error) {
    throw new Error(`${command} can't be run: ${messageOf(error)}`);
  }
}

const HEADINGS = ["Node", "Kafka", "passed", "failed", "warnings", "commit"];
const rowOf = ({ cell, commit, nodeVersion, passed, failed, warnings }: Result): string[] => [
  nodeVersion.replace("v", ""),
  cell.kafka,
  String(passed),
  String(failed),
  String(warnings),
  commit,
];

const report = (results: readonly Result[]): string =>
  table(
    [...HEADINGS, "minutes"],
    results.map((result) => [...rowOf(result), result.minutes.toFixed(1)]),
  );

const page = (results: readonly Result[]): string => `# Versions it was tested with

Written by \`npm run test:matrix\`, which runs the unit and integration tests over each of these pairs, and fails on a failed test or on
any warning that Node prints.

| ${HEADINGS.join(" | ")} |
| ${HEADINGS.map(() => "---").join(" | ")} |
${results.map((result) => `| ${rowOf(result).join(" | ")} |`).join("\n")}

The schema registry was Apicurio 2.6.13 in its Confluent-compatible API; the integration tests run real relay and gateway processes against
real brokers.
`;

function say(message: string): void {
  process.stdout.write(`${message}\n`);
}

process.exitCode = await main();

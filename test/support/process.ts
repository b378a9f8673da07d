import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { waitFor } from "./wait.ts";

export const CLI = fileURLToPath(new URL("../../src/cli.js", import.meta.url));

export interface CliProcess {
  readonly pid: number;
  /** What it printed so far. */
  stdout(): string;
  stderr(): string;
  /** The JSON log lines on its standard output. */
  logs(): { level: string; msg: string; [key: string]: unknown }[];
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it has ended. */
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly running: boolean;
  /** Kills it if it still runs, and waits for its end. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The product's command line (`cli`: another than the one under test's) in a process of its own. Whatever OPTOUT_ and OTEL_ variables the test has don't reach it. */
export function runCli(
  args: string[],
  options: { env?: Record<string, string>; input?: string; cli?: string } = {},
): CliProcess {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(OPTOUT|OTEL)_/.test(name)),
  );
  const child: ChildProcess = spawn(process.execPath, [options.cli ?? CLI, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...inherited, ...options.env },
  });
  child.stdin?.end(options.input ?? "");
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => err.push(chunk));
  const stdout = () => Buffer.concat(out).toString();
  // Tests look at the log again and again, so each line is parsed once.
  const parsed: ReturnType<CliProcess["logs"]> = [];
  let unparsed = "";
  let chunksParsed = 0;
  const decoder = new TextDecoder();
  const logs = () => {
    for (; chunksParsed < out.length; chunksParsed++)
      unparsed += decoder.decode(out[chunksParsed], { stream: true });
    const lines = unparsed.split("\n");
    unparsed = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("{")) parsed.push(JSON.parse(line));
    return [...parsed];
  };
  const exit = once(child, "close").then(([code, signal]) => ({ code, signal }));
  const running = () => child.exitCode === null && child.signalCode === null;
  return {
    pid: child.pid ?? -1,
    stdout,
    stderr: () => Buffer.concat(err).toString(),
    logs,
    kill: (signal) => child.kill(signal),
    exit,
    get running() {
      return running();
    },
    async [Symbol.asyncDispose]() {
      if (running()) child.kill("SIGKILL");
      await exit;
    },
  };
}

/** The end of a command that should end by itself. */
export async function finished(cli: CliProcess): Promise<number | null> {
  await waitFor("the command to end", () => !cli.running);
  return (await cli.exit).code;
}

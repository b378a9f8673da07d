/** Processes of a bench, and what the system says of them. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export type Line = Record<string, unknown>;

export interface BenchProcess {
  readonly pid: number;
  readonly startedAt: number;
  /** The JSON lines on its standard output so far. */
  lines(): readonly Line[];
  onLine(listener: (line: Line) => void): void;
  /** Rejects when the process ends, with the end of what it wrote. */
  readonly ended: Promise<never>;
  kill(signal: NodeJS.Signals): void;
  /** Ends it, in good order if it can, and waits for that. */
  [Symbol.asyncDispose](): Promise<void>;
}

const GRACE_MS = 20_000;

/** A program of the bench's, by its path within it. */
export const startNode = (program: string, args: readonly string[]): BenchProcess =>
  start(process.execPath, [fileURLToPath(new URL(program, import.meta.url)), ...args]);

export function start(command: string, args: readonly string[]): BenchProcess {
  const startedAt = Date.now();
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(OPTOUT|OTEL)_/.test(name)),
  );
  const child: ChildProcess = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: inherited });
  const lines: Line[] = [];
  const listeners: ((line: Line) => void)[] = [];
  let tail = "";
  const keep = (text: string): void => {
    tail = `${tail}${text}\n`.slice(-2_000);
  };
  if (child.stdout === null || child.stderr === null) throw new Error("a bench process has no output");
  createInterface(child.stdout).on("line", (text) => {
    keep(text);
    if (!text.startsWith("{")) return;
    const line: Line = JSON.parse(text);
    lines.push(line);
    for (const listener of listeners) listener(line);
  });
  createInterface(child.stderr).on("line", keep);
  const closed = once(child, "close");
  const ended = closed.then(([code, signal]): never => {
    throw new Error(`${command} ${args[0] ?? ""} ended (${code ?? signal}):\n${tail}`);
  });
  // Whoever waits for it hears of it; nobody has to.
  ended.catch(() => {});
  return {
    pid: child.pid ?? -1,
    startedAt,
    lines: () => lines,
    onLine: (listener) => {
      for (const line of lines) listener(line);
      listeners.push(listener);
    },
    ended,
    kill: (signal) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      const impatience = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
      await closed;
      clearTimeout(impatience);
    },
  };
}

const TICKS_PER_SECOND = 100;

/** Seconds of processor time so far, user's and system's. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The second field is the name, in parentheses, and may hold spaces; these are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** The most memory it ever had, in MiB. */
export async function peakMemoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) / 1_024;
}

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { extname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export interface SuperviseOptions {
  command: string;
  args: string[];
  /** Takes stdout and stderr, appended. */
  logFile: string;
  /** Milliseconds between SIGTERM and SIGKILL. */
  graceMs: number;
  /** Deleted by the watchdog if this process ends without stopping the child. */
  folderToRemoveIfOrphaned?: string | undefined;
}

export interface SupervisedProcess {
  /** The command's own process id; undefined until it runs. */
  pid(): number | undefined;
  hasExited(): boolean;
  /** SIGTERM, then SIGKILL after the grace; resolves when the process is gone. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
}

const watchdogReserveMs = 5_000;
// This file's own extension: the sources can run as they are, or compiled.
const watchdog = fileURLToPath(new URL(`./watchdog${extname(import.meta.url)}`, import.meta.url));

/**
 * Starts a command that can't outlive this process. It runs under a watchdog in a session of its own, so that
 * a terminal's Ctrl-C reaches only this process, which then stops the command in its own time.
 */
export function supervise(options: SuperviseOptions): SupervisedProcess {
  const log = openSync(options.logFile, "a");
  const args = [
    watchdog,
    String(options.graceMs),
    options.folderToRemoveIfOrphaned ?? "",
    options.command,
    ...options.args,
  ];
  const child = spawn(process.execPath, args, { detached: true, stdio: ["ignore", log, log, "ipc"] });
  closeSync(log);
  let pid: number | undefined;
  child.on("message", (message) => {
    if (typeof message === "number") pid = message;
  });
  child.on("error", () => {});
  child.once("exit", (_code, signal) => {
    // The watchdog itself was killed: nobody else is left to end its child.
    if (signal !== null) killGroup(child);
  });
  return {
    pid: () => (hasExited(child) ? undefined : pid),
    hasExited: () => hasExited(child),
    stop: () => endBy(child, "stop", options.graceMs),
    kill: () => endBy(child, "kill", 0),
  };
}

const hasExited = (child: ChildProcess): boolean =>
  child.exitCode !== null || child.signalCode !== null || child.pid === undefined;

/** Tells the watchdog; a watchdog that doesn't get it done ends by force, with its child. */
async function endBy(child: ChildProcess, message: "stop" | "kill", withinMs: number): Promise<void> {
  if (hasExited(child)) return;
  const exited = once(child, "exit");
  if (child.connected) child.send(message, () => {});
  const onTime = new AbortController();
  const late = delay(withinMs + watchdogReserveMs, true, { signal: onTime.signal });
  if (await Promise.race([exited.then(() => false), late])) killGroup(child);
  onTime.abort();
  await exited;
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // Nobody is left in the group.
  }
}

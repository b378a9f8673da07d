/**
 * Runs one command and makes sure it ends: when told to, and when the process that started this one is gone, however
 * it went (even by kill -9: the system then closes the IPC channel). A program of its own, started by `supervise`.
 *
 * Arguments: milliseconds between SIGTERM and SIGKILL; a folder to delete if orphaned (or ""); the command and its arguments.
 */
import { spawn } from "node:child_process";
import { rm, rmdir } from "node:fs/promises";
import { dirname } from "node:path";

const [grace = "", folder = "", command = "", ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });
let orphaned = false;
let ending = false;

function end(): void {
  if (ending) return;
  ending = true;
  child.kill("SIGTERM");
  setTimeout(() => child.kill("SIGKILL"), Number(grace)).unref();
}

async function removeFolder(): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  // The parent folder is shared by the watchdogs of one stack; the last one to leave can delete it.
  await rmdir(dirname(folder)).catch(() => {});
}

child.once("spawn", () => {
  // The callback takes the error of a parent that is already gone.
  process.send?.(child.pid, () => {});
});
child.once("error", (error) => {
  process.stderr.write(`${command} can't be started: ${error.message}\n`);
  process.exit(127);
});
child.once("exit", async (code) => {
  if (orphaned && folder !== "") await removeFolder().catch(() => {});
  process.exit(code ?? 1);
});

process.on("message", (message) => {
  if (message === "stop") end();
  if (message === "kill") child.kill("SIGKILL");
});
process.once("disconnect", () => {
  orphaned = true;
  end();
});
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, end);

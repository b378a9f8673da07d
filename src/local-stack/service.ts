import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { OptoutError } from "../errors.ts";
import { causesIn, tailOf } from "./log-tail.ts";
import { isFree } from "./ports.ts";
import { type SupervisedProcess, supervise } from "./supervise.ts";

export interface ServiceOptions {
  /** For people: "Apache Kafka 4.1.1". */
  title: string;
  command: string;
  args: string[];
  /** The service's own folder; its log is kept there. */
  folder: string;
  /** Where it listens on 127.0.0.1. */
  port: number;
  /** The folder goes when this process ends without stopping the service. */
  temporary: boolean;
  /** Milliseconds a stop may take before the process is killed. */
  graceMs: number;
  isReady: () => Promise<boolean>;
}

export interface Service {
  /** Resolves when the service answers. Throws a `local_stack` error with the end of its log if it ends or takes too long. */
  start(signal?: AbortSignal): Promise<void>;
  stop(): Promise<void>;
  /** As `stop`, without letting it finish what it does. */
  kill(): Promise<void>;
  /** The process id while it runs. */
  pid(): number | undefined;
}

/** A service could not start because another process has its port. */
export class PortTakenError extends OptoutError {}

const readyWithinMs = 60_000;
const pollMs = 40;
const portTaken = /Address already in use|BindException|seems to be in use by another process/;

/** A server that runs as a process: started until it answers, stopped until it is gone, as often as wanted. */
export function createService(options: ServiceOptions): Service {
  const logFile = join(options.folder, "output.log");
  let current: SupervisedProcess | undefined;

  async function start(signal?: AbortSignal): Promise<void> {
    if (current && !current.hasExited()) return;
    // Whatever listens there already would be taken for the service.
    if (!(await isFree(options.port))) {
      throw new PortTakenError(
        "local_stack",
        `${options.title} can't start: port ${options.port} is in use.`,
      );
    }
    const logStart = await stat(logFile).then(
      (file) => file.size,
      () => 0,
    );
    current = supervise({
      command: options.command,
      args: options.args,
      logFile,
      graceMs: options.graceMs,
      folderToRemoveIfOrphaned: options.temporary ? options.folder : undefined,
    });
    try {
      await untilReady(current, signal);
    } catch (error) {
      // There is nothing to be finished or kept.
      await current.kill();
      if (error instanceof NotReady) throw await describe(error.message, logStart);
      throw error;
    }
  }

  async function untilReady(child: SupervisedProcess, signal?: AbortSignal): Promise<void> {
    const deadline = Date.now() + readyWithinMs;
    while (!(await options.isReady())) {
      signal?.throwIfAborted();
      if (child.hasExited()) throw new NotReady(`${options.title} ended while it was starting`);
      if (Date.now() > deadline) {
        throw new NotReady(`${options.title} did not answer within ${readyWithinMs / 1_000} s`);
      }
      await delay(pollMs);
    }
  }

  async function describe(what: string, logStart: number): Promise<OptoutError> {
    const log = (await readFile(logFile).catch(() => Buffer.alloc(0))).subarray(logStart).toString();
    const causes = causesIn(log, 2);
    const message = [
      ...(causes.length > 0 ? [`${what}. It said:`, ...causes] : [`${what}.`]),
      `The end of its log${options.temporary ? "" : ` (${logFile})`}:`,
      ...tailOf(log, 15),
    ].join("\n");
    return portTaken.test(log)
      ? new PortTakenError("local_stack", message)
      : new OptoutError("local_stack", message);
  }

  return {
    start,
    stop: async () => current?.stop(),
    kill: async () => current?.kill(),
    pid: () => current?.pid(),
  };
}

class NotReady extends Error {}

import { Agent, request } from "undici";
import { waitFor } from "../../test/support/wait.ts";
import { type BenchProcess, startNode } from "../process.ts";
import type { Progress, Run } from "./server.ts";

export interface Sink {
  baseUrl(environment: number): string;
  /** Forgets everything before it. */
  begin(run: Run): Promise<void>;
  progress(): Promise<Progress>;
  /** Resolves when every environment has every event. */
  done(signal: AbortSignal): Promise<Progress & { doneAt: number }>;
  /** The time at which the last environment had each event; 0: not yet. */
  times(): Promise<Float64Array>;
  readonly process: BenchProcess;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts the simulated environments. */
export async function startSink(): Promise<Sink> {
  const child = startNode("sink/server.js", []);
  const url = await waitFor(
    "the sink to listen",
    () => child.lines().find((line) => "url" in line)?.url as string,
  );
  // A run may be long, and nothing is said meanwhile.
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 });
  const ask = async (path: string, more: object = {}) => {
    const { statusCode, body } = await request(`${url}${path}`, { dispatcher, ...more });
    const bytes = Buffer.from(await body.arrayBuffer());
    if (statusCode !== 200) throw new Error(`the sink answered ${statusCode}: ${bytes}`);
    return bytes;
  };
  const json = async (path: string, more: object = {}) => JSON.parse((await ask(path, more)).toString());
  return {
    process: child,
    baseUrl: (environment) => `${url}/${environment}`,
    begin: async (run) => {
      await ask("/_bench", { method: "PUT", body: JSON.stringify(run) });
    },
    progress: () => json("/_bench"),
    done(signal) {
      const done = json("/_bench/done", { signal });
      // If the contender fails first, that is what the bench fails with.
      done.catch(() => {});
      return done;
    },
    async times() {
      const bytes = await ask("/_bench/times");
      return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    },
    async [Symbol.asyncDispose]() {
      await dispatcher.destroy();
      await child[Symbol.asyncDispose]();
    },
  };
}

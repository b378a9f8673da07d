import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { type Line, line } from "./report.ts";

/** A process with a broker and a registry of its own: simulators and checks of one schedule must not hold up another. */
export interface Worker {
  perform(seed: number): Promise<Line>;
  stop(): void;
  readonly ended: Promise<void>;
}

const Answer = z.union([z.object({ line }), z.object({ problem: z.string() })]);

export function startWorker(failures: string): Worker {
  const script = fileURLToPath(new URL("./worker.js", import.meta.url));
  const child: ChildProcess = fork(script, [failures], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const exit = once(child, "exit");
  const ended = exit.then(() => {});
  return {
    ended,
    async perform(seed) {
      child.send({ seed });
      const answered = once(child, "message");
      const gone = exit.then(([code, signal]) => {
        throw new Error(`the worker ended (${signal ?? code}) during the seed ${seed}`);
      });
      const [message] = await Promise.race([answered, gone]);
      const answer = Answer.parse(message);
      if ("problem" in answer) throw new Error(`the seed ${seed} could not be run: ${answer.problem}`);
      return answer.line;
    },
    stop() {
      if (child.connected) child.disconnect();
    },
  };
}

import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { messageOf } from "../../src/errors.ts";
import { exists } from "../../src/local-stack/artifacts.ts";
import { start } from "../process.ts";
import { say } from "../report.ts";
import { assignedAt, type Contender } from "./contender.ts";

const FOLDER = resolve("bench/java");
const JAR = resolve(FOLDER, "target/bench.jar");
const BUILD_WITHIN_MS = 10 * 60_000;

/** Maven looks whether anything has changed by itself; without it, or the network, what was built before is used. */
async function build(): Promise<void> {
  say("building bench/java (the first time Maven downloads its libraries)");
  try {
    await promisify(execFile)("mvn", ["-q", "-B", "package"], { cwd: FOLDER, timeout: BUILD_WITHIN_MS });
  } catch (error) {
    if (!(await exists(JAR))) throw error;
    say(`what was built before is used: ${messageOf(error).split("\n")[0]}`);
  }
}

export const java = (): string => (process.env.JAVA_HOME ? `${process.env.JAVA_HOME}/bin/java` : "java");

export const parallelConsumer: Contender = {
  name: "parallel-consumer",
  title: "Parallel Consumer",
  prepare: build,
  start: async (task) =>
    start(java(), [
      // The JVM's default, a quarter of the machine's memory, would say nothing of what it needs.
      "-Xmx512m",
      ...["-cp", `${JAR}:${resolve(FOLDER, "target/lib")}/*`],
      "bench.ParallelConsumer",
      JSON.stringify(task),
    ]),
  assignedAt,
};

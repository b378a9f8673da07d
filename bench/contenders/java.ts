import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { messageOf } from "../../src/errors.ts";
import { exists } from "../../src/local-stack/artifacts.ts";
import { start } from "../process.ts";
import { say } from "../report.ts";
import { assignedAt, type Contender } from "./contender.ts";

const FOLDER = resolve("bench/java");
const targetOf = (module: string): string => resolve(FOLDER, module, "target");
const jarOf = (module: string): string => resolve(targetOf(module), `${module}.jar`);
const BUILD_WITHIN_MS = 10 * 60_000;

/** Maven looks whether anything has changed by itself; without it, or the network, what was built before is used. */
async function build(module: string): Promise<void> {
  say(`building bench/java/${module} (the first time Maven downloads its libraries)`);
  try {
    await promisify(execFile)("mvn", ["-q", "-B", "package", "--also-make", "--projects", module], {
      cwd: FOLDER,
      timeout: BUILD_WITHIN_MS,
    });
  } catch (error) {
    if (!(await exists(jarOf(module)))) throw error;
    say(`what was built before is used: ${messageOf(error).split("\n")[0]}`);
  }
}

export const java = (): string => (process.env.JAVA_HOME ? `${process.env.JAVA_HOME}/bin/java` : "java");

/** A contender of `bench/java`: its module has the contender's name. */
const javaContender = (name: string, title: string, main: string): Contender => ({
  name,
  title,
  prepare: () => build(name),
  start: async (task) =>
    start(java(), [
      // The JVM's default, a quarter of the machine's memory, would say nothing of what it needs.
      "-Xmx512m",
      // With the default, G1, Parallel Consumer mostly took more processor time.
      "-XX:+UseParallelGC",
      ...["-cp", `${jarOf(name)}:${targetOf(name)}/lib/*`],
      main,
      JSON.stringify(task),
    ]),
  assignedAt,
});

export const parallelConsumer = javaContender(
  "parallel-consumer",
  "Parallel Consumer",
  "bench.ParallelConsumer",
);

export const camel: Contender = {
  ...javaContender("camel", "Apache Camel", "bench.Camel"),
  waits: true,
};

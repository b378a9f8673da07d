import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import { OptoutError } from "../errors.ts";

const run = promisify(execFile);
const minimumJava = 17;
const answerWithinMs = 30_000;

export interface Java {
  command: string;
  major: number;
  /** Tells one Java build from another: a class archive fits only the build that wrote it. */
  fingerprint: string;
}

/**
 * Looks for what the local stack runs on: Java 17 or later always, Maven only when something has to be downloaded.
 * Throws one `local_stack` error naming all that is missing and the ways out.
 */
export async function findToolchain(needsMaven: boolean): Promise<{ java: Java; maven: string }> {
  const [java, maven] = await Promise.all([findJava(), needsMaven ? findMaven() : "mvn"]);
  const missing: string[] = [];
  if (java === undefined) missing.push(`Java ${minimumJava} or later (\`java\`) was not found`);
  else if (java.major < minimumJava) {
    missing.push(`Java ${minimumJava} or later is needed, but \`${java.command}\` is Java ${java.major}`);
  }
  if (maven === undefined) missing.push("Maven (`mvn`), which downloads them the first time, was not found");
  if (java === undefined || maven === undefined || missing.length > 0) {
    throw new OptoutError("local_stack", waysOut(missing));
  }
  return { java, maven };
}

async function findJava(): Promise<Java | undefined> {
  const command = process.env.JAVA_HOME ? join(process.env.JAVA_HOME, "bin", "java") : "java";
  const answer = await ask(command, ["-version"]);
  const version = answer && /version "(\d+)(?:\.(\d+))?/.exec(answer);
  if (!answer || !version) return undefined;
  // Until Java 8 the major version was the second number: "1.8.0".
  const major = Number(version[1] === "1" ? version[2] : version[1]);
  return { command, major, fingerprint: createHash("sha256").update(answer).digest("hex").slice(0, 12) };
}

async function findMaven(): Promise<string | undefined> {
  return (await ask("mvn", ["-v"])) === undefined ? undefined : "mvn";
}

/** What a command prints about itself, or undefined if it can't be run. */
async function ask(command: string, args: string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(command, args, { timeout: answerWithinMs });
    return stdout + stderr;
  } catch {
    return undefined;
  }
}

function waysOut(missing: string[]): string {
  return [
    "A local Kafka and schema registry can't be started on this machine:",
    ...missing.map((what) => `  - ${what}.`),
    "Do one of these:",
    `  - install Java ${minimumJava}+ and Maven (Debian and Ubuntu: apt-get install openjdk-17-jre-headless maven; macOS: brew install openjdk maven)`,
    "  - start the same stack with Docker: docker compose up",
    "  - point at brokers you already have: --brokers host:9092",
  ].join("\n");
}

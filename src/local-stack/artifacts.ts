import { spawn } from "node:child_process";
import { access, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { messageOf, OptoutError } from "../errors.ts";
import { timeLimit } from "../time-limit.ts";
import { tailOf } from "./log-tail.ts";

export interface MavenDependency {
  groupId: string;
  artifactId: string;
  version: string;
  type?: string;
  classifier?: string;
}

/** Something the local stack runs, as Maven knows it. `unpack`: the dependencies are archives, to be unpacked. */
export interface Artifact {
  name: string;
  version: string;
  title: string;
  dependencies: MavenDependency[];
  unpack: boolean;
}

const marker = ".complete";
const plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";
const downloadWithinMs = 15 * 60_000;
const abandonedAfterMs = 60 * 60_000;

const cacheFolder = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "optout-relay");

/** Where an artifact's jars are kept, downloaded or not: `<cache>/optout-relay/<name>-<version>`. */
export const artifactFolder = (artifact: Artifact): string =>
  join(cacheFolder(), `${artifact.name}-${artifact.version}`);

export async function isCached(artifact: Artifact): Promise<boolean> {
  return exists(join(artifactFolder(artifact), marker));
}

/**
 * Downloads an artifact into the cache. The download goes to a folder of its own, which takes its final name only when whole:
 * an interrupted one is never used, and processes that download at the same time don't disturb each other.
 */
export async function downloadArtifact(
  artifact: Artifact,
  maven: string,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(cacheFolder(), { recursive: true });
  await removeAbandoned();
  const staging = await mkdtemp(join(cacheFolder(), `${artifact.name}-${artifact.version}.download-`));
  try {
    await writeFile(join(staging, "pom.xml"), pom(artifact));
    await runMaven(artifact, maven, staging, signal);
    await rm(join(staging, "repository"), { recursive: true, force: true });
    await writeFile(join(staging, marker), "");
    await publish(artifact, staging);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

const IN_THE_WAY = new Set(["ENOTEMPTY", "EEXIST", "ENOTDIR"]);

async function publish(artifact: Artifact, staging: string): Promise<void> {
  const target = artifactFolder(artifact);
  const isPublished = async (): Promise<boolean> => {
    try {
      await rename(staging, target);
      return true;
    } catch (error) {
      // Somebody else was first, or a folder that isn't whole is in the way.
      if (await isCached(artifact)) return true;
      if (!IN_THE_WAY.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
      return false;
    }
  };
  for (let attempt = 1; !(await isPublished()); attempt++) {
    // Renamed, not removed: should another process publish this very moment, nobody meets it half gone.
    const aside = `${staging}-aside-${attempt}`;
    await rename(target, aside).catch(() => {});
    await rm(aside, { recursive: true, force: true });
  }
}

async function runMaven(
  artifact: Artifact,
  maven: string,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  const goal = artifact.unpack ? "unpack-dependencies" : "copy-dependencies";
  // A local repository of its own: two Mavens at once can spoil a shared one, and this one is deleted afterwards.
  const args = [
    "--batch-mode",
    "--quiet",
    `-Dmaven.repo.local=${join(folder, "repository")}`,
    "-DincludeScope=runtime",
    `-DoutputDirectory=${join(folder, "lib")}`,
    `-DmarkersDirectory=${join(folder, "repository", "markers")}`,
    `${plugin}:${goal}`,
  ];
  const child = spawn(maven, args, {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    signal: timeLimit(downloadWithinMs, signal),
  });
  let output = "";
  const keepTail = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-4_000);
  };
  child.stdout.on("data", keepTail);
  child.stderr.on("data", keepTail);
  const failure = await new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(messageOf(error)));
    child.once("close", (code) => resolve(code === 0 ? undefined : `mvn exited with ${code ?? "a signal"}`));
  });
  signal.throwIfAborted();
  if (failure !== undefined) throw downloadFailed(artifact, failure, output);
}

function downloadFailed(artifact: Artifact, failure: string, output: string): OptoutError {
  return new OptoutError(
    "local_stack",
    [
      `${artifact.title} could not be downloaded: ${failure}. Its last lines:`,
      ...tailOf(output, 8),
      "Check the network and the mirrors and proxies in ~/.m2/settings.xml, then try again;",
      "or start the same stack with `docker compose up`, or point at brokers you already have with --brokers.",
    ].join("\n"),
  );
}

function pom(artifact: Artifact): string {
  const dependency = (d: MavenDependency): string =>
    [
      "<dependency>",
      `<groupId>${d.groupId}</groupId><artifactId>${d.artifactId}</artifactId><version>${d.version}</version>`,
      d.type ? `<type>${d.type}</type>` : "",
      d.classifier ? `<classifier>${d.classifier}</classifier>` : "",
      artifact.unpack
        ? "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
        : "",
      "</dependency>",
    ].join("");
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>optout-relay</groupId><artifactId>${artifact.name}</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${artifact.dependencies.map(dependency).join("\n")}</dependencies></project>
`;
}

/** Removes what downloads left behind whose process was killed. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(cacheFolder())) {
    if (!name.includes(".download-")) continue;
    const folder = join(cacheFolder(), name);
    const age = Date.now() - (await stat(folder).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
    if (age > abandonedAfterMs) await rm(folder, { recursive: true, force: true });
  }
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

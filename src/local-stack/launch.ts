import { mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Artifact, artifactFolder, exists } from "./artifacts.ts";
import { findFreePorts } from "./ports.ts";
import { PortTakenError, type Service } from "./service.ts";
import type { Java } from "./toolchain.ts";

/** Where and how one server is to run. */
export interface Placement {
  java: Java;
  /** Classes to load from, see `classArchive`. */
  classArchive?: string | undefined;
  /** Further JVM flags for the server. */
  serverFlags?: string[];
  /** Configuration, log and data. */
  folder: string;
  /** The folder goes when this process ends without stopping the server. */
  temporary: boolean;
  /** Ports on 127.0.0.1; the first is the one for clients. */
  ports: number[];
  /** Milliseconds a stop may take before the process is killed. */
  graceMs: number;
}

/** What the stack can start: how to make a service of it, not started yet, for any placement. */
export interface Server {
  artifact: Artifact;
  portCount: number;
  /** The port for clients, if it may be no other. */
  fixedPort?: number | undefined;
  create(placement: Placement): Promise<Service>;
}

export interface LaunchOptions {
  java: Java;
  folder: string;
  temporary: boolean;
  say: (message: string) => void;
  signal: AbortSignal;
}

const portAttempts = 5;
const graceMs = 10_000;
/** Writing a class archive on the way out takes its time. */
const trialGraceMs = 60_000;

/** Starts a server on free ports; should one be taken by another process at the last moment, on others. */
export async function launch(
  server: Server,
  options: LaunchOptions,
): Promise<{ service: Service; ports: number[] }> {
  const { title } = server.artifact;
  const archive = await classArchive(server, options);
  for (let attempt = 1; ; attempt += 1) {
    const ports = await findFreePorts(server.portCount);
    if (server.fixedPort !== undefined) ports[0] = server.fixedPort;
    const [port = 0] = ports;
    const service = await server.create({ ...options, classArchive: archive, ports, graceMs });
    const startedAt = performance.now();
    try {
      await service.start(options.signal);
      const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
      options.say(`${title} is up on 127.0.0.1:${port} (${seconds} s)`);
      return { service, ports };
    } catch (error) {
      const another = error instanceof PortTakenError && server.fixedPort === undefined;
      if (!another || attempt === portAttempts) throw error;
    }
  }
}

/**
 * A file the JVM loads the server's classes from, which halves the time to start. It is written once per Java build,
 * at the end of a trial run. Without it (the trial failed, the disk is full) starts only take longer.
 */
async function classArchive(server: Server, options: LaunchOptions): Promise<string | undefined> {
  const { java, say, signal } = options;
  const home = artifactFolder(server.artifact);
  const archive = join(home, `classes-${java.fingerprint}.jsa`);
  if (await exists(archive)) return archive;

  say(`Preparing ${server.artifact.title} for this Java (once; it starts faster from then on)`);
  // Beside its final place, so that it can be renamed when whole.
  const folder = await mkdtemp(join(home, "trial-"));
  const unfinished = join(folder, "classes.jsa");
  try {
    const service = await server.create({
      java,
      serverFlags: [`-XX:ArchiveClassesAtExit=${unfinished}`],
      folder,
      temporary: true,
      ports: await findFreePorts(server.portCount),
      graceMs: trialGraceMs,
    });
    await service.start(signal);
    const giveUp = (): void => void service.kill();
    signal.addEventListener("abort", giveUp);
    await service.stop();
    signal.removeEventListener("abort", giveUp);
    signal.throwIfAborted();
    await rename(unfinished, archive);
    return archive;
  } catch {
    signal.throwIfAborted();
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

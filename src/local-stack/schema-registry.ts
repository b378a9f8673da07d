import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Artifact, artifactFolder } from "./artifacts.ts";
import { jvmFlags } from "./jvm.ts";
import type { Placement, Server } from "./launch.ts";
import { createService, type Service } from "./service.ts";

const version = "2.6.13.Final";
const answerWithinMs = 2_000;

/** Apicurio registry, the last line that runs on Java 17; its storage is in memory. */
const registryArtifact: Artifact = {
  name: "registry",
  version,
  title: `Apicurio registry ${version}`,
  unpack: true,
  dependencies: [
    {
      groupId: "io.apicurio",
      artifactId: "apicurio-registry-app",
      version,
      type: "tar.gz",
      classifier: "all",
    },
  ],
};

/** The base URL of the registry's Confluent-compatible API. */
export const registryUrl = (port: number): string => `http://127.0.0.1:${port}/apis/ccompat/v7`;

/** A schema registry on 127.0.0.1. Its content lasts until it is stopped. */
export function registryServer(): Server {
  return { artifact: registryArtifact, portCount: 1, create };
}

async function create(placement: Placement): Promise<Service> {
  const { folder, java } = placement;
  const [port = 0] = placement.ports;
  await mkdir(join(folder, "tmp"), { recursive: true });
  const args = [
    ...(placement.serverFlags ?? []),
    ...jvmFlags(placement, 256),
    "-Dquarkus.http.host=127.0.0.1",
    `-Dquarkus.http.port=${port}`,
    "-jar",
    join(artifactFolder(registryArtifact), "lib", `apicurio-registry-app-${version}-runner.jar`),
  ];
  return createService({
    ...placement,
    title: registryArtifact.title,
    command: java.command,
    args,
    port,
    isReady: () => answers(`${registryUrl(port)}/subjects`),
  });
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(answerWithinMs) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

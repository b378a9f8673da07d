import { join } from "node:path";
import type { Placement } from "./launch.ts";

/** Flags for a JVM that starts fast and takes little: no second compiler, the plainest collector, classes from an archive. */
export function jvmFlags(placement: Placement, heapMegabytes: number): string[] {
  return [
    `-Xmx${heapMegabytes}m`,
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    `-Djava.io.tmpdir=${join(placement.folder, "tmp")}`,
    ...(placement.classArchive === undefined ? [] : [`-XX:SharedArchiveFile=${placement.classArchive}`]),
  ];
}

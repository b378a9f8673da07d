import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { z } from "zod";
import { parseExposition } from "./prometheus.ts";

/** What a process holds at one moment. */
export interface Sample {
  heap: number;
  resident: number;
  descriptors: number;
  sockets: number;
  handles: number;
}

/** How a quantity is told, and by how much its second half may exceed the first, beyond a tenth of it. */
export const QUANTITIES: Record<keyof Sample, { unit: string; scale: number; slack: number }> = {
  heap: { unit: "MiB", scale: 2 ** 20, slack: 16 * 2 ** 20 },
  resident: { unit: "MiB", scale: 2 ** 20, slack: 32 * 2 ** 20 },
  descriptors: { unit: "", scale: 1, slack: 10 },
  sockets: { unit: "", scale: 1, slack: 10 },
  handles: { unit: "", scale: 1, slack: 10 },
};

const names = z.enum(["heap", "resident", "descriptors", "sockets", "handles"]).options;

/** Of a process of this machine that serves its metrics there. */
export async function sampleOf(pid: number, url: string): Promise<Sample> {
  const metrics = parseExposition(await (await fetch(`${url}/metrics`)).text());
  const links = readdirSync(`/proc/${pid}/fd`).map((descriptor) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${descriptor}`);
    } catch {
      // It was closed meanwhile.
      return "";
    }
  });
  return {
    heap: metrics.value("nodejs_heap_size_used_bytes"),
    resident: residentBytes(pid),
    descriptors: links.length,
    sockets: links.filter((link) => link.startsWith("socket:")).length,
    handles: metrics.value("nodejs_active_handles_total"),
  };
}

/** VmRSS of /proc/PID/status, which is in KiB. */
export const residentBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1_024;

export interface Flatness {
  quantity: keyof Sample;
  first: number;
  second: number;
  most: number;
  isFlat: boolean;
}

const WARM_UP = 0.2;

/** Memory goes up and is collected: what it comes back to is what counts. */
const lowerQuartile = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 4)] ?? 0;

/** After a warm-up of a fifth, the second half against the first. */
export function flatnessOf(samples: readonly Sample[]): Flatness[] {
  const warm = samples.slice(Math.floor(samples.length * WARM_UP));
  const middle = Math.floor(warm.length / 2);
  return names.map((quantity) => {
    const values = warm.map((sample) => sample[quantity]);
    const [first, second] = [lowerQuartile(values.slice(0, middle)), lowerQuartile(values.slice(middle))];
    const isFlat = second <= first * 1.1 + QUANTITIES[quantity].slack;
    return {
      quantity,
      first,
      second,
      most: Math.max(0, ...samples.map((sample) => sample[quantity])),
      isFlat,
    };
  });
}

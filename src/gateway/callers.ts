import { isIPv4, isIPv6 } from "node:net";
import { createTokenBucket, type TokenBucket } from "../delivery/token-bucket.ts";

/** Callers save up this many seconds' worth of requests: web forms come in bursts. */
const BURST_SECONDS = 1;
/** Callers remembered at once; who is forgotten starts with a full burst. About 3 MB. */
const MAX_CALLERS = 10_000;

export interface CallerLimits {
  /** Counts a request of this caller: 0, or the milliseconds until its next one is welcome. */
  take(caller: string): number;
}

/** A rate for each caller by itself. `now` in milliseconds. */
export function createCallerLimits(
  requestsPerSecond: number,
  now: () => number,
  maxCallers = MAX_CALLERS,
): CallerLimits {
  /** The one that was here longest ago comes first. */
  const buckets = new Map<string, TokenBucket>();

  return {
    take(caller) {
      const bucket = buckets.get(caller) ?? createTokenBucket(requestsPerSecond, now(), BURST_SECONDS);
      buckets.delete(caller);
      buckets.set(caller, bucket);
      const [oldest] = buckets.keys();
      if (buckets.size > maxCallers && oldest !== undefined) buckets.delete(oldest);
      return bucket.take(now());
    },
  };
}

const WITH_PORT = /^\s*(?:\[([^\]]*)\]|(\d+(?:\.\d+){3}))(?::\d+)?\s*$/;

/** The addresses of an `X-Forwarded-For`, without the ports (`1.2.3.4:5`, `[::1]:5`) that some proxies write after them. */
export const withoutPorts = (forwarded: string): string =>
  forwarded
    .split(",")
    .map((entry) => {
      const [, ipv6, ipv4] = WITH_PORT.exec(entry) ?? [];
      return ipv6 ?? ipv4 ?? entry.trim();
    })
    .join(", ");

const MAPPED_IPV4 = /^::ffff:(\d+(?:\.\d+){3})$/i;

/**
 * What an address is limited by. Of IPv6 the first 64 bits, since whoever has one address of a network has all of them.
 * Undefined if it is no address.
 */
export function networkOf(address: string): string | undefined {
  const mapped = MAPPED_IPV4.exec(address)?.[1];
  if (mapped !== undefined || isIPv4(address)) return mapped ?? address;
  if (!isIPv6(address)) return undefined;
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::").map(groupsOf);
  const gap = tail === undefined ? [] : Array<string>(Math.max(0, 8 - head.length - tail.length)).fill("0");
  const groups = [...head, ...gap, ...(tail ?? [])].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(":")}::/64`;
}

/** An IPv4 address at the end stands for two groups, neither within the first four unless zero. */
const groupsOf = (part: string): string[] =>
  part === "" ? [] : part.split(":").flatMap((group) => (group.includes(".") ? ["0", "0"] : [group]));

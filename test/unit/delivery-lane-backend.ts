import { ok, type Received, type Reply } from "./delivery-lane-fixture.ts";
import type { Link, Scenario } from "./delivery-lane-scenario.ts";

/** One request, as the environment saw it. Milliseconds since the scenario's start. */
export interface Seen {
  partition: number;
  sentAt: number;
  answeredAt: number;
  status: number | undefined;
}

/** A made-up environment whose link changes over time. */
export interface Backend {
  readonly seen: readonly Seen[];
  linkAt(milliseconds: number): Link;
  respond(received: Received): Promise<Reply>;
  respondToken(nth: number): Promise<Reply>;
}

/** Pseudo-random numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A request's own, for what never answers. */
const TIMEOUT_MS = 30_000;

const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

export function createBackend(
  { link: links, token }: Pick<Scenario, "link" | "token">,
  now: () => number,
  random: () => number,
): Backend {
  const seen: Seen[] = [];
  let room = Number.POSITIVE_INFINITY;
  let filledAt = now();
  let busyUntil: number[] = [];
  let inFlight = 0;

  const linkAt = (milliseconds: number): Link => {
    const link = links.findLast(({ atSecond }) => atSecond * 1_000 <= milliseconds);
    if (link === undefined) throw new Error("the first link starts at second 0");
    return link;
  };

  /** Milliseconds until a request would be admitted; 0 if this one is. */
  function admit({ quota, burstSeconds }: Link, at: number): number {
    if (quota === undefined) return 0;
    room = Math.min(Math.max(1, quota * burstSeconds), room + ((at - filledAt) / 1_000) * quota);
    filledAt = at;
    if (room < 1) return ((1 - room) / quota) * 1_000;
    room--;
    return 0;
  }

  function serviceTime({ latencyMs, jitterMs, servers }: Link, at: number): number {
    const takes = latencyMs + jitterMs * random();
    if (servers === undefined) return takes;
    busyUntil = busyUntil.filter((until) => until > at).sort((a, b) => a - b);
    const start = busyUntil.length < servers ? at : (busyUntil[busyUntil.length - servers] ?? at);
    busyUntil.push(start + takes);
    return start + takes - at;
  }

  const refusal = (status: number, { retryAfter, clockAheadMs }: Link, wait: number): Reply => {
    const date = (milliseconds: number) => new Date(milliseconds + clockAheadMs).toUTCString();
    const kinds = new Map([
      ["whole", String(Math.max(1, Math.ceil(wait / 1_000)))],
      ["date", date(Date.now() + 1_000)],
      ["past", date(Date.now() - 60_000)],
    ]);
    const header = retryAfter === null ? null : (kinds.get(retryAfter) ?? retryAfter);
    return { status, headers: { date: date(Date.now()), ...(header !== null && { "retry-after": header }) } };
  };

  async function answer(link: Link, count: number): Promise<Reply | undefined> {
    const at = now();
    if (link.outage === "hang") {
      await sleep(TIMEOUT_MS);
      return undefined;
    }
    const wait = link.outage === undefined ? admit(link, at) : 0;
    const isTooMany = link.atOnce !== undefined && inFlight > link.atOnce;
    const fails = link.outage === "503" || isTooMany || random() < link.errorRate;
    if (link.outage === "cut" || fails || wait > 0) {
      await sleep(Math.min(link.latencyMs, 20));
      if (link.outage === "cut") return undefined;
      return wait > 0 ? refusal(429, link, wait) : refusal(503, { ...link, retryAfter: null }, 0);
    }
    await sleep(serviceTime(link, at));
    return ok(count);
  }

  return {
    seen,
    linkAt,
    async respond({ key, phones }) {
      const sentAt = now();
      const request: Seen = {
        partition: Number(key.split(":")[1]),
        sentAt,
        answeredAt: Number.POSITIVE_INFINITY,
        status: undefined,
      };
      seen.push(request);
      inFlight++;
      const reply = await answer(linkAt(sentAt), phones.length);
      inFlight--;
      request.answeredAt = now();
      request.status = reply?.status;
      if (reply === undefined) throw new Error("socket hang up");
      return reply;
    },
    async respondToken(nth) {
      const { outage } = linkAt(now());
      await sleep(outage === "hang" ? TIMEOUT_MS : token.latencyMs);
      if (outage === "503") return { status: 503 };
      if (outage !== undefined) throw new Error("socket hang up");
      const body = { access_token: `t${nth}`, token_type: "Bearer", expires_in: token.lifetimeSeconds };
      return { status: 200, body: JSON.stringify(body) };
    },
  };
}

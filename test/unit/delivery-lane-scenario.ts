import { z } from "zod";

const Share = z.tuple([z.number(), z.number()]);

/** The link to an environment from some second on, until the next one. */
const Link = z.strictObject({
  atSecond: z.number().default(0),
  latencyMs: z.number().default(100),
  /** Added to each latency, drawn evenly. */
  jitterMs: z.number().default(0),
  /** Requests per second that are admitted; others get a 429. Absent: all. */
  quota: z.number().optional(),
  /** What the quota's bucket holds, in seconds' worth. */
  burstSeconds: z.number().default(1),
  /**
   * On a 429: null sends none, "whole" the whole seconds until there is room, "date" the date in a second, "past" one of a
   * minute ago; other text is sent as it is.
   */
  retryAfter: z.string().nullable().default("whole"),
  /** Requests dealt with at a time, each taking the latency; others queue. Absent: all at once. */
  servers: z.int().optional(),
  /** Requests at a time beyond which a 503 is the answer. Absent: any number. */
  atOnce: z.int().optional(),
  /** Share of requests answered 503. */
  errorRate: z.number().default(0),
  /** What happens instead of all that, to requests for tokens too: 503, a cut connection, or no answer ever. */
  outage: z.enum(["503", "cut", "hang"]).optional(),
  /** Milliseconds that the environment's clock, in `Date` and dates, is ahead. */
  clockAheadMs: z.number().default(0),
});

/** What is asserted of a stretch of time; every band is [least, most]. */
const Band = z.strictObject({
  fromSecond: z.number(),
  toSecond: z.number(),
  /** Requests taken, as a share of what the quotas, the environment's and the lane's, and its servers allow. */
  used: Share.optional(),
  /** Answers 429, as a share of all. */
  throttled: Share.optional(),
  /** Requests sent. */
  requests: Share.optional(),
  /** Mean, of the requests taken. */
  latencyMs: Share.optional(),
  /** The most at any time. */
  inFlight: Share.optional(),
  /** Longest time from `deliver` to the first request, of each partition but the first. */
  waitMs: Share.optional(),
});

export const Scenario = z.strictObject({
  about: z.string(),
  seconds: z.number(),
  /** Runs, each with other random numbers. */
  runs: z.int().default(1),
  lane: z
    .strictObject({
      requestsPerSecond: z.number().default(100),
      maxConcurrency: z.int().default(64),
      share: z.number().default(1),
    })
    .prefault({}),
  token: z
    .strictObject({
      lifetimeSeconds: z.number().default(3_600),
      latencyMs: z.number().default(0),
    })
    .prefault({}),
  /** Of each partition: batches that wait at any time, or a batch every so many milliseconds. */
  partitions: z
    .array(z.union([z.strictObject({ waiting: z.int() }), z.strictObject({ everyMs: z.number() })]))
    .default([{ waiting: 200 }]),
  link: z.array(Link).min(1),
  bands: z.array(Band).default([]),
  /**
   * Share of what is allowed that is taken again, over half a second, so many seconds after each outage's end; that half
   * second included.
   */
  recovery: z.strictObject({ share: z.number(), withinSeconds: z.number() }).optional(),
});

export type Scenario = z.infer<typeof Scenario>;
export type Link = z.infer<typeof Link>;
export type Band = z.infer<typeof Band>;

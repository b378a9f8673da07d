import { z } from "zod";
import { OptoutError } from "../errors.ts";

const probability = z.number().min(0).max(1);
const milliseconds = z.number().min(0).max(600_000);

/**
 * What an environment can be told to do wrong. Every PUT replaces the whole set, so a key that is absent is
 * back at its default.
 */
const faultsSchema = z.strictObject({
  /** Delay of every answer that got past the quota, tokens too. */
  latencyMs: milliseconds.default(0),
  /** Up to this much more, drawn evenly. */
  jitterMs: milliseconds.default(0),
  /** Share of entries requests answered 500 or 503, replays too; nothing is applied. */
  errorRate: probability.default(0),
  /**
   * Share of entries requests applied, and remembered under their key where the dialect has one, whose connection
   * is then cut. A replay applies nothing and is never cut.
   */
  dropAfterApply: z.union([z.boolean(), probability]).default(false),
  /** `true` cuts every connection on the first byte of a request, "503" answers so; tokens too. */
  outage: z.union([z.boolean(), z.literal("503")]).default(false),
  /** E.164. A request that holds one is refused whole with 422; in `admin-dnc-groups` that record fails alone. */
  rejectPhones: z
    .array(z.string().regex(/^\+[1-9]\d{6,14}$/, 'must be E.164, such as "+12125550123"'))
    .max(100_000)
    .default([]),
  /**
   * What comes of a phone that is on the list already: the "stronger" of the two entries stays, as a permanent one against
   * an expiring one; or the "last" one replaces it, whatever it says.
   */
  duplicates: z.enum(["stronger", "last"]).default("stronger"),
  /** How many entries at the end of each request are neither taken nor counted in its success; `true` is 1. */
  shortAck: z.union([z.boolean(), z.int().min(0).max(1000)]).default(false),
  /** Lifetime of the tokens issued from now on; 0 makes them useless at once. */
  tokenTtlSeconds: z.number().min(0).max(31_536_000).optional(),
  /** Quota of entries requests; a second's worth may come at once. */
  requestsPerSecond: z.number().positive().max(1_000_000).optional(),
  /** Sent as it is with every 429 and 503; null sends no such header. Absent: a 429 tells the seconds to wait. */
  retryAfter: z
    .union([z.number(), z.string().regex(/^[\x20-\x7e]{0,256}$/, "must be printable ASCII"), z.null()])
    .optional(),
  /** What the DNC groups of `admin-dnc-groups` say they are; records are taken all the same, as CXone does. */
  dncGroup: z.enum(["inactive", "unscrubbed"]).optional(),
});

/** A set of faults as tests and `PUT /_sim/{environment}/faults` give it: every key may be left out. */
export type FaultsInput = z.input<typeof faultsSchema>;

type ParsedFaults = z.output<typeof faultsSchema>;

/** The faults in force, defaults filled in. */
export type Faults = Omit<ParsedFaults, "tokenTtlSeconds" | "requestsPerSecond"> & {
  tokenTtlSeconds: number;
  requestsPerSecond: number;
};

/** What an environment does when no fault says otherwise. */
export interface FaultDefaults {
  tokenTtlSeconds: number;
  requestsPerSecond: number;
}

/** Checks a set of faults; an `OptoutError` with code "usage" names every key that is wrong. */
export const parseFaults = (input: unknown, defaults: FaultDefaults): Faults => {
  const parsed = faultsSchema.safeParse(input);
  if (!parsed.success) {
    const reasons = parsed.error.issues.map(({ path, message }) => [...path, message].join(": "));
    throw new OptoutError("usage", `these faults are not understood: ${reasons.join("; ")}`);
  }
  const { tokenTtlSeconds, requestsPerSecond, ...faults } = parsed.data;
  return {
    ...faults,
    tokenTtlSeconds: tokenTtlSeconds ?? defaults.tokenTtlSeconds,
    requestsPerSecond: requestsPerSecond ?? defaults.requestsPerSecond,
  };
};

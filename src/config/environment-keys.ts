import { z } from "zod";
import { duration, evenIfFaulty, httpUrl, rate, text, whole } from "./fields.ts";
import { formatDuration } from "./units.ts";

const minute = 60_000;

const retry = z
  .strictObject({
    initialBackoff: duration(1, 60 * minute)
      .prefault("500ms")
      .describe("The longest pause after the first failure; it doubles with every further one."),
    maxBackoff: duration(1, 60 * minute)
      .prefault("60s")
      .describe(
        "The longest pause. Not less than initialBackoff. An environment that is just down (no answer, 5xx, no token) is tried at least every second, or as often as takes 5 % of the replica's share of requestsPerSecond if that is less often: an opt-out must not wait for an outage that is over. Only a maxBackoff below that makes it more often.",
      ),
  })
  .superRefine(({ initialBackoff, maxBackoff }, context) => {
    if (typeof initialBackoff !== "number" || typeof maxBackoff !== "number") return;
    if (maxBackoff >= initialBackoff) return;
    const message = `expected at least retry.initialBackoff (${formatDuration(initialBackoff)})`;
    context.addIssue({ code: "custom", path: ["maxBackoff"], message });
  }, evenIfFaulty)
  .prefault({})
  .describe(
    "Pauses between attempts of a batch, and between probes of an environment that refuses access or answers wrongly: exponential with full jitter, without end.",
  );

/** What every environment has, whatever its dialect. */
export const environmentKeys = {
  name: text(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/,
    "expected a short name of letters, digits, - and _ (at most 63, the first a letter or digit)",
  ).describe(
    "In metrics, results and the ledger. Renaming an environment makes it a new one, which has acknowledged nothing.",
  ),
  baseUrl: httpUrl({ example: "https://api.nice.incontact.com", base: true }),
  requestsPerSecond: rate(0.01, 10_000)
    .default(100)
    .describe("This tenant's quota, over all relay replicas together."),
  maxConcurrency: whole(1, 1_024).default(64).describe("Requests under way at once, per replica."),
  requestTimeout: duration(10, 10 * minute).prefault("30s"),
  retry,
};

/** These keys as the program uses them. */
export type EnvironmentCommon = z.output<z.ZodObject<typeof environmentKeys, z.core.$strict>>;
/** These keys as a file holds them. */
export type EnvironmentCommonInput = z.input<z.ZodObject<typeof environmentKeys, z.core.$strict>>;

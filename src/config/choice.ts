import { z } from "zod";
import { valueAt } from "./tree.ts";

/**
 * For `superRefine` of a choice by `key` between mappings. Where it chooses none of them, this tells what is wrong besides, as
 * far as it is so whichever was meant: with the keys that all of them have in `common`, and those that none has.
 */
export function whicheverIsMeant(
  key: string,
  options: readonly z.ZodObject[],
  common: Record<string, z.ZodType> = {},
) {
  const keys = options.flatMap(({ shape }) => Object.keys(shape));
  const anything = Object.fromEntries(keys.map((each) => [each, z.unknown().optional()]));
  const shared = z.strictObject({ ...anything, ...common });
  return (value: unknown, context: z.RefinementCtx): void => {
    const choice = valueAt(value, [key]);
    if (options.some(({ shape }) => z.safeParse(shape[key], choice).success)) return;
    for (const issue of shared.safeParse(value).error?.issues ?? []) context.addIssue({ ...issue });
  };
}

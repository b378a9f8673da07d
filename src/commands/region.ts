import { InvalidArgumentError } from "commander";
import { isRegion } from "../phone/normalize.ts";

/** For commander: an ISO 3166 alpha-2 code that has phone numbers, in capitals. */
export function parseRegion(value: string): string {
  const region = value.trim().toUpperCase();
  if (isRegion(region)) return region;
  throw new InvalidArgumentError("It must be an ISO 3166 alpha-2 code, such as US or GB.");
}

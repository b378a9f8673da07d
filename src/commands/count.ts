import { InvalidArgumentError } from "commander";

/** For commander: a whole number from 1 to `max`. */
export function parseCount(max: number): (value: string) => number {
  return (value) => {
    const count = Number(value);
    if (/^\d+$/.test(value) && count >= 1 && count <= max) return count;
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${max}.`);
  };
}

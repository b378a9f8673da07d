import { table } from "../src/table.ts";

/** One thing measured, and what is asked of it. */
export interface Measurement {
  what: string;
  /** With its unit if it isn't a plain ratio. */
  measured: string;
  /** In words. */
  bar: string;
  met: boolean;
}

export const percent = (ratio: number): string => `${(ratio * 100).toFixed(1)} %`;

export const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

export function report(measurements: readonly Measurement[]): void {
  const rows = measurements.map(({ what, measured, bar, met }) => [
    what,
    measured,
    bar,
    met ? "met" : "MISSED",
  ]);
  say(`\n${table(["what", "measured", "bar", ""], rows, ["measured"])}`);
}

import type { Contender } from "./contenders/contender.ts";
import { type Bench, type Figures, measure, type RunOptions } from "./measure.ts";
import { say } from "./report.ts";

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
};

/** The value below which that share of the values is. */
export const quantile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
};

/** The median of each figure, and how far apart the fastest and the slowest run were. */
export interface Repeated extends Figures {
  slowest: number;
  fastest: number;
}

/**
 * Each contender as often as asked, in turns: what else the machine does meanwhile hits them alike.
 * @returns by the contenders' names.
 */
export async function repeat(
  bench: Bench,
  contenders: readonly Contender[],
  options: RunOptions,
  repetitions: number,
): Promise<Record<string, Repeated>> {
  const runs = new Map<Contender, Figures[]>(contenders.map((each) => [each, []]));
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    for (const [contender, figures] of runs) {
      const measured = await measure(bench, contender, options);
      figures.push(measured);
      say(`  ${contender.title}: ${lineOf(measured)}`);
    }
  }
  return Object.fromEntries([...runs].map(([{ name }, figures]) => [name, medians(figures)]));
}

const lineOf = ({ eventsPerSecond, cpuSecondsPerMillion, peakMiB, settledSeconds }: Figures): string =>
  [
    `${Math.round(eventsPerSecond)} events/s`,
    `${cpuSecondsPerMillion.toFixed(1)} CPU s per million`,
    `${Math.round(peakMiB)} MiB`,
    `settled ${settledSeconds.toFixed(2)} s after the last answer`,
  ].join(", ");

function medians(runs: readonly Figures[]): Repeated {
  const of = (figure: keyof Figures): number => median(runs.map((run) => run[figure]));
  const speeds = runs.map(({ eventsPerSecond }) => eventsPerSecond);
  return {
    eventsPerSecond: of("eventsPerSecond"),
    cpuSecondsPerMillion: of("cpuSecondsPerMillion"),
    peakMiB: of("peakMiB"),
    startSeconds: of("startSeconds"),
    settledSeconds: of("settledSeconds"),
    slowest: Math.min(...speeds),
    fastest: Math.max(...speeds),
  };
}

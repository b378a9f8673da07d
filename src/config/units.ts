/** Durations are milliseconds and sizes are bytes everywhere inside the program; units exist only in the configuration. */
const milliseconds = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
const bytes = { B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 } as const;

export const durationPattern = /^\d+(?:ms|s|m|h)$/;
export const sizePattern = /^\d+(?:B|KiB|MiB|GiB)$/;

/** Milliseconds of `500ms`, `10s`, `5m` or `1h`; undefined for anything else, a bare number included. */
export function parseDuration(text: string): number | undefined {
  return durationPattern.test(text) ? scaled(text, milliseconds) : undefined;
}

/** Bytes of `100B`, `512KiB`, `1MiB` or `1GiB`; undefined for anything else, a bare number included. */
export function parseSize(text: string): number | undefined {
  return sizePattern.test(text) ? scaled(text, bytes) : undefined;
}

/** Milliseconds in the largest unit that divides them: the inverse of `parseDuration`. */
export const formatDuration = (value: number): string => inLargestUnit(value, milliseconds);

/** Bytes in the largest unit that divides them: the inverse of `parseSize`. */
export const formatSize = (value: number): string => inLargestUnit(value, bytes);

/** Undefined, too, where the product can't be held exactly. */
function scaled(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const amount = Number.parseInt(text, 10);
  const value = amount * (units[text.replace(/^\d+/, "")] ?? Number.NaN);
  return Number.isSafeInteger(value) ? value : undefined;
}

function inLargestUnit(value: number, units: Readonly<Record<string, number>>): string {
  const [smallest, ...larger] = Object.entries(units);
  const [unit, factor] = larger.findLast(([, size]) => value > 0 && value % size === 0) ??
    smallest ?? ["", 1];
  return `${value / factor}${unit}`;
}

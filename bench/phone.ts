/** What it takes to normalise a phone, the short way and the long one, on phones as they come, all different. */
import { normalizeFully, normalizePhone } from "../src/phone/normalize.ts";
import { phoneMix } from "../test/support/phone-mix.ts";
import { median } from "./repeat.ts";
import { type Measurement, say } from "./report.ts";

const REPETITIONS = 3;
const MAX_MICROSECONDS = 3;

/** Of processor time, for one phone. */
function microseconds(normalize: typeof normalizePhone, phones: ReturnType<typeof phoneMix>): number {
  const start = process.cpuUsage();
  for (const { text, region } of phones) normalize(text, region);
  const { user, system } = process.cpuUsage(start);
  return (user + system) / phones.length;
}

export function measurePhone(count: number): Measurement[] {
  say(`phone, ${count} phones`);
  const phones = phoneMix(count);
  const times = Array.from({ length: REPETITIONS }, () => ({
    short: microseconds(normalizePhone, phones),
    long: microseconds(normalizeFully, phones),
  }));
  const short = median(times.map((each) => each.short));
  const long = median(times.map((each) => each.long));
  return [
    {
      what: "normalising a phone, mean",
      measured: `${short.toFixed(2)} µs`,
      bar: `at most ${MAX_MICROSECONDS} µs`,
      met: short <= MAX_MICROSECONDS,
    },
    {
      what: "its time to that of libphonenumber-js with the reading of texts",
      measured: (short / long).toFixed(2),
      bar: "at most 0.3",
      met: short / long <= 0.3,
    },
  ];
}

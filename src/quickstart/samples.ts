/** How a sample opt-out gets into Kafka. */
export type Channel = "web" | "ivr-json" | "ivr-avro" | "broken";

export interface Sample {
  channel: Channel;
  /** The event's fields, or what a broken producer sent. */
  event:
    | { phone: string; source: string; eventId: string; region?: string; occurredAt: string }
    | string
    | null;
  /** The number that must end on every list, in E.164; null: the event must be rejected. */
  expected: string | null;
}

interface Written {
  input: string;
  e164: string;
  region?: string;
}

/** The ways in which people and telephones write numbers. `n` makes each number different. */
const WAYS: readonly ((n: number) => Written)[] = [
  (n) => ({ input: `(212) 2${pad(n, 2)}-${pad(n, 4, 2)}`, e164: `+12122${pad(n, 6)}` }),
  (n) => ({ input: `+1 415-2${pad(n, 2)}-${pad(n, 4, 2)}`, e164: `+14152${pad(n, 6)}` }),
  (n) => ({ input: `tel:+1-312-2${pad(n, 2)}-${pad(n, 4, 2)}`, e164: `+13122${pad(n, 6)}` }),
  (n) => ({ input: `1.617.2${pad(n, 2)}.${pad(n, 4, 2)} ext. 7`, e164: `+16172${pad(n, 6)}` }),
  (n) => ({ input: `07911 ${pad(n, 6)}`, e164: `+447911${pad(n, 6)}`, region: "GB" }),
  (n) => ({ input: `+49 1512 3${pad(n, 6)}`, e164: `+4915123${pad(n, 6)}` }),
  (n) => ({ input: `+52 1 55 12${pad(n, 6)}`, e164: `+525512${pad(n, 6)}` }),
];

/** Six digits of `n`, or `count` of them from `from`. */
function pad(n: number, count: number, from = 0): string {
  return String(n)
    .padStart(6, "0")
    .slice(from, from + count);
}

/** What a dialled keypad sends: digits alone. */
const dialled = (n: number): Written => ({ input: `7022${pad(n, 6)}`, e164: `+17022${pad(n, 6)}` });

const BROKEN: readonly Sample["event"][] = [
  null,
  "not even JSON",
  '{"source":"web","eventId":"no-phone"}',
  '{"phone":"call me maybe","source":"web"}',
  '{"phone":"(212) 200-0000","source":"web","action":"opt_in"}',
];
/** One in so many is broken, and as many are somebody's second try. */
const BROKEN_EVERY = 40;
const REPEATED_EVERY = 25;

/** `count` opt-outs as web forms and IVR platforms send them, the same at every call: some broken, some repeated. */
export function createSamples(count: number, occurredAt: string): Sample[] {
  const samples: Sample[] = [];
  for (let index = 0; index < count; index++) {
    if (index % BROKEN_EVERY === 13) {
      samples.push({
        channel: "broken",
        event: BROKEN[Math.floor(index / BROKEN_EVERY) % BROKEN.length] ?? null,
        expected: null,
      });
      continue;
    }
    const number = index % REPEATED_EVERY === 7 && index > 1 ? index - 2 : index;
    const channel = channelOf(index);
    const { input, e164, region } =
      channel === "web" ? (WAYS[(number >> 1) % WAYS.length] ?? dialled)(number) : dialled(number);
    const event = {
      phone: input,
      source: channel === "web" ? "web" : "ivr",
      eventId: `sample-${index}`,
      occurredAt,
      ...(region !== undefined && { region }),
    };
    samples.push({ channel, event, expected: e164 });
  }
  return samples;
}

/** Every second one from the web, the others in turn as JSON and Avro. */
function channelOf(index: number): Channel {
  if (index % 2 === 0) return "web";
  return index % 4 === 1 ? "ivr-json" : "ivr-avro";
}

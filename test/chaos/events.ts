import type { Message } from "kafkajs";
import { phoneOf } from "../support/scenario.ts";
import { createRandom, type Random, seedOf } from "./random.ts";
import type { Region } from "./schedule.ts";

/** What an event asks for, as the environments get it. */
export interface Wish {
  phone: string;
  source: string;
  /** Null: for good. */
  expiresAt: string | null;
}

/** What must come of an event under a default region: a wish, or the reason to reject it. */
export type Meaning = { wish: Wish } | { reason: string };

/** One opt-out event of a schedule: what is produced, and what it means. */
export interface ChaosEvent {
  index: number;
  key: Buffer | null;
  value: Buffer | null;
  meaning: Record<Region, Meaning>;
}

/** Makes the bytes of a record in Avro; `known` or not to the registry. */
export type ToAvro = (fields: { phone: string; source: string }, known: boolean) => Buffer;

/** The record's header that tells which event it is, whatever its value. */
export const INDEX_HEADER = "chaos-index";

const SOURCES = ["web", "ivr"] as const;
/** A duplicate's phone is of one of so many events before. */
const REACH = 60;

const pad = (number: number, digits: number): string => String(number).padStart(digits, "0");

const json = (fields: object): Buffer => Buffer.from(JSON.stringify(fields));
const same = (meaning: Meaning): Record<Region, Meaning> => ({ US: meaning, GB: meaning });

type Content = Pick<ChaosEvent, "value" | "meaning">;

interface Draw {
  random: Random;
  index: number;
  phone: string;
  source: string;
  toAvro: ToAvro | undefined;
}

const ofPhone = ({ phone, source, index }: Draw, expiresAt: string | null = null): Content => ({
  value: json({ phone, source, eventId: `event-${index}`, ...(expiresAt !== null && { expiresAt }) }),
  meaning: same({ wish: { phone, source, expiresAt } }),
});

const earlier = (draw: Draw): Draw => ({
  ...draw,
  phone: phoneOf(Math.max(0, draw.index - draw.random.int(1, REACH))),
});

const expiring = (draw: Draw): Content =>
  ofPhone(draw, `20${draw.random.int(40, 69)}-0${draw.random.int(1, 9)}-01T00:00:00Z`);

const national = (draw: Draw): Content => ({
  ...ofPhone({
    ...draw,
    phone: `(212) 3${pad(Math.floor(draw.index / 10_000), 2)}-${pad(draw.index % 10_000, 4)}`,
  }),
  meaning: {
    US: {
      wish: {
        phone: `+12123${pad(Math.floor(draw.index / 10_000), 2)}${pad(draw.index % 10_000, 4)}`,
        source: draw.source,
        expiresAt: null,
      },
    },
    GB: { reason: "invalid_phone" },
  },
});

const british = (draw: Draw): Content => ({
  ...ofPhone({ ...draw, phone: `020 7946 ${pad(draw.index % 10_000, 4)}` }),
  meaning: {
    US: { reason: "invalid_phone" },
    GB: { wish: { phone: `+44207946${pad(draw.index % 10_000, 4)}`, source: draw.source, expiresAt: null } },
  },
});

const BAD: readonly [Content, ...Content[]] = [
  { value: null, meaning: same({ reason: "empty_value" }) },
  { value: null, meaning: same({ reason: "empty_value" }) },
  { value: Buffer.from("garbage"), meaning: same({ reason: "undecodable" }) },
  { value: Buffer.from([0xff, 0xfe, 0x00, 0x80]), meaning: same({ reason: "undecodable" }) },
  { value: Buffer.from('{"phone":"+1212'), meaning: same({ reason: "undecodable" }) },
  { value: json({ phone: "12" }), meaning: same({ reason: "invalid_phone" }) },
  { value: json({ source: "web" }), meaning: same({ reason: "missing_phone" }) },
  {
    value: json({ phone: "+12125550123", action: "opt_in" }),
    meaning: same({ reason: "unsupported_action" }),
  },
];

function inAvro(draw: Draw, toAvro: ToAvro): Content {
  const { phone, source, random } = draw;
  const known = random.chance(0.9);
  return {
    value: toAvro({ phone, source }, known),
    meaning: same(known ? { wish: { phone, source, expiresAt: null } } : { reason: "unknown_schema" }),
  };
}

function contentOf(draw: Draw): Content {
  const { random, toAvro } = draw;
  if (toAvro !== undefined && random.chance(0.2)) return inAvro(draw, toAvro);
  const kind = random.next();
  if (kind < 0.08) return random.pick(BAD);
  if (kind < 0.18) return ofPhone(earlier(draw));
  if (kind < 0.24) return expiring(draw);
  if (kind < 0.28) return expiring(earlier(draw));
  if (kind < 0.33) return national(draw);
  if (kind < 0.36) return british(draw);
  return ofPhone(draw);
}

/** The event of that index, the same for ever: by its kind alone it is decided what must come of it. */
export function eventAt(seed: number, index: number, toAvro?: ToAvro): ChaosEvent {
  const random = createRandom(seedOf(seed, index));
  const source = random.pick(SOURCES);
  const content = contentOf({ random, index, phone: phoneOf(index), source, toAvro });
  const key = random.chance(0.05)
    ? null
    : random.chance(0.01)
      ? hugeKey(random)
      : Buffer.from(`key-${index % 97}`);
  return { index, key, ...content };
}

/** More than a status may have for its key. */
const hugeKey = (random: Random): Buffer => Buffer.alloc(random.int(1_500, 60_000), "k");

/** The record that carries it. `partition` is drawn, so that each gets its part whatever the keys. */
export const messageOf = (event: ChaosEvent, partition: number): Message => ({
  key: event.key,
  value: event.value,
  partition,
  headers: { [INDEX_HEADER]: String(event.index) },
});

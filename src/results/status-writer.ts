import { CommonEnd, TextWithEnd, writeText } from "../kafka/outgoing.ts";
import type { StatusRecord } from "./status.ts";

/** What the statuses of a batch mostly share: most of the text. */
const SHARED = ["outcome", "reason", "detail", "idempotencyKey", "completedAt", "environments"] as const;

/** In words, for this is asked for every status. */
const isSharedBy = (one: StatusRecord, other: StatusRecord): boolean =>
  one.environments === other.environments &&
  one.idempotencyKey === other.idempotencyKey &&
  one.completedAt === other.completedAt &&
  one.outcome === other.outcome &&
  one.reason === other.reason &&
  one.detail === other.detail;

/** Of a buffer for texts. It is held as long as one of them waits to be sent; they are sent in their order. */
const BUFFER_BYTES = 64 * 1024;
/** The names of a status's own fields, its numbers, and what stands between them. */
const FRAME_BYTES = 512;
/** Of a character, at most: as `\u0000`, but for those of three or four bytes. */
const BYTES_PER_CHARACTER = 6;

/**
 * Status records as JSON, as bytes without a text, an object or a buffer for each. Worth: a status takes 2 us instead of 5,
 * and a third of the garbage.
 */
export function createStatusWriter(): (record: StatusRecord) => TextWithEnd {
  let buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  let at = 0;
  let last: StatusRecord | undefined;
  let end: CommonEnd | undefined;
  let place: Place | undefined;

  const makeRoom = ({ statusId, eventId, phone, source, occurredAt, origin }: StatusRecord): void => {
    const own = statusId.length + source.length + origin.topic.length + origin.timestamp.length;
    const characters = own + (eventId?.length ?? 0) + (phone?.length ?? 0) + (occurredAt?.length ?? 0);
    const bytes = FRAME_BYTES + BYTES_PER_CHARACTER * characters;
    if (at + bytes <= buffer.length) return;
    buffer = Buffer.allocUnsafeSlow(Math.max(bytes, BUFFER_BYTES));
    at = 0;
  };

  const write = (text: string): void => {
    at = writeText(text, buffer, at);
  };

  const writeQuoted = (text: string | null): void => {
    const end = text === null ? -1 : writePlain(text, buffer, at);
    if (end >= 0) at = end;
    else write(JSON.stringify(text));
  };

  /** What comes before the offset, where an event's place is told. */
  const placeOf = ({ topic, partition }: StatusRecord["origin"]): Place => {
    if (place?.topic !== topic || place.partition !== partition) {
      const own = `"origin":{"topic":${JSON.stringify(topic)},"partition":${partition},"offset":`;
      place = { topic, partition, own: Buffer.from(own) };
    }
    return place;
  };

  const writeBytes = (bytes: Buffer): void => {
    buffer.set(bytes, at);
    at += bytes.length;
  };

  const endOf = (record: StatusRecord): CommonEnd => {
    const isSame = last !== undefined && isSharedBy(record, last);
    last = record;
    if (!isSame || end === undefined) {
      const members = SHARED.map((name) => `,${JSON.stringify(name)}:${JSON.stringify(record[name])}`);
      end = new CommonEnd(`${members.join("")}}`);
    }
    return end;
  };

  return (record) => {
    const { statusId, eventId, phone, source, occurredAt, origin } = record;
    makeRoom(record);
    const from = at;
    write('{"statusId":');
    writeQuoted(statusId);
    write(',"eventId":');
    writeQuoted(eventId);
    write(',"phone":');
    writeQuoted(phone);
    write(',"source":');
    writeQuoted(source);
    write(',"occurredAt":');
    writeQuoted(occurredAt);
    write(",");
    writeBytes(placeOf(origin).own);
    write(String(origin.offset));
    write(',"timestamp":');
    writeQuoted(origin.timestamp);
    write("}");
    return new TextWithEnd(buffer, from, at, endOf(record));
  };
}

interface Place {
  topic: string;
  partition: number;
  own: Buffer;
}

const [QUOTE, BACKSLASH, SPACE, TILDE] = [0x22, 0x5c, 0x20, 0x7e];

/** In quotes, if there is nothing in it that JSON escapes, and nothing but ASCII; answers where it ends, or -1. */
function writePlain(text: string, into: Buffer, start: number): number {
  let at = start;
  into[at++] = QUOTE;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < SPACE || code > TILDE || code === QUOTE || code === BACKSLASH) return -1;
    into[at++] = code;
  }
  into[at++] = QUOTE;
  return at;
}

import { CommonEnd, TextWithEnd, writeText } from "../kafka/outgoing.ts";
import type { StatusRecord } from "./status.ts";

/** What the statuses of a batch mostly share: most of the text. */
const SHARED = ["outcome", "reason", "detail", "idempotencyKey", "completedAt", "environments"] as const;

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

  const makeRoom = ({ statusId, eventId, phone, source, occurredAt, origin }: StatusRecord): void => {
    let characters = statusId.length + source.length + origin.topic.length + origin.timestamp.length;
    for (const text of [eventId, phone, occurredAt]) characters += text?.length ?? 0;
    const bytes = FRAME_BYTES + BYTES_PER_CHARACTER * characters;
    if (at + bytes <= buffer.length) return;
    buffer = Buffer.allocUnsafeSlow(Math.max(bytes, BUFFER_BYTES));
    at = 0;
  };

  const write = (text: string): void => {
    at = writeText(text, buffer, at);
  };

  const writeQuoted = (text: string | null): void => {
    if (text === null || !PLAIN.test(text)) {
      write(JSON.stringify(text));
      return;
    }
    buffer[at++] = QUOTE;
    write(text);
    buffer[at++] = QUOTE;
  };

  const endOf = (record: StatusRecord): CommonEnd => {
    const isSame = SHARED.every((name) => record[name] === last?.[name]);
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
    write(',"origin":{"topic":');
    writeQuoted(origin.topic);
    write(',"partition":');
    write(String(origin.partition));
    write(',"offset":');
    write(String(origin.offset));
    write(',"timestamp":');
    writeQuoted(origin.timestamp);
    write("}");
    return new TextWithEnd(buffer, from, at, endOf(record));
  };
}

/** Without anything that JSON escapes; to see that takes half the time of `JSON.stringify`. */
const PLAIN = /^[ !#-[\]-~]*$/;
const QUOTE = 0x22;

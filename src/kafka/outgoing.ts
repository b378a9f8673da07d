import type { IHeaders, Message } from "kafkajs";
import { type RepeatedPiece, repeatedPiece } from "./crc32c.ts";

/** A record to be written. As kafkajs' `Message`, but that its value may share its end with others. */
export interface OutgoingRecord extends Omit<Message, "value"> {
  value: Message["value"] | TextWithEnd;
}

export interface TopicRecords {
  topic: string;
  messages: OutgoingRecord[];
}

/** The end that texts of several records have in common: encoded once for all of them. */
export class CommonEnd {
  readonly text: string;
  readonly piece: RepeatedPiece;

  constructor(text: string) {
    this.text = text;
    this.piece = repeatedPiece(Buffer.from(text));
  }
}

/** A text in UTF-8, of which the end is kept apart; its start is a stretch of a buffer that holds those of others too. */
export class TextWithEnd {
  readonly buffer: Buffer;
  readonly from: number;
  /** Not included. */
  readonly to: number;
  readonly end: CommonEnd;

  constructor(buffer: Buffer, from: number, to: number, end: CommonEnd) {
    this.buffer = buffer;
    this.from = from;
    this.to = to;
    this.end = end;
  }

  /** In bytes. */
  get length(): number {
    return this.to - this.from + this.end.piece.bytes.length;
  }

  toString(): string {
    return this.buffer.toString("utf8", this.from, this.to) + this.end.text;
  }
}

/** Key, value or header of a record. */
export type Part = OutgoingRecord["key"] | OutgoingRecord["value"] | undefined;

/** Texts up to here are faster looked through than handed to Node. */
const SHORT = 40;

/** In bytes. */
export function lengthOf(part: NonNullable<Part>): number {
  if (typeof part !== "string") return part.length;
  return part.length <= SHORT && isAscii(part) ? part.length : Buffer.byteLength(part);
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}

/** Writes it as UTF-8; answers where it ends. */
export function writeText(text: string, into: Buffer, start: number): number {
  if (text.length > SHORT) return start + into.write(text, start);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) return start + into.write(text, start);
    into[start + at] = code;
  }
  return start + text.length;
}

type NamedHeader = readonly [name: string, value: Part];

const NONE: readonly NamedHeader[] = [];

/** One for each value. */
export const headersOf = (headers: IHeaders | undefined): readonly NamedHeader[] =>
  headers === undefined
    ? NONE
    : Object.entries(headers).flatMap(([name, value]): NamedHeader[] =>
        Array.isArray(value) ? value.map((each) => [name, each]) : [[name, value]],
      );

const RECORD_OVERHEAD_BYTES = 32;

/** What a record takes in a request, a few bytes more or less. */
export function sizeOf({ key, value, headers }: OutgoingRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + lengthOf(key ?? "") + lengthOf(value ?? "");
  for (const [name, each] of headersOf(headers)) bytes += lengthOf(name) + lengthOf(each ?? "");
  return bytes;
}

import { grouped } from "../grouped.ts";
import type { BehindTransaction } from "../inspect/transactions.ts";
import type { OptOut } from "./opt-out.ts";
import type { Summary } from "./summary.ts";

/** What a report is of. It is written before anything is read. */
export interface ReportHead {
  /** The status topic. */
  topic: string;
  /** RFC 3339 in UTC; inclusive. */
  from: string;
  /** Exclusive. */
  to: string;
  selectedBy: "receivedAt";
  timeZone: "UTC";
  /** The one number it is of; null: all. */
  phone: string | null;
  phonesMasked: boolean;
  /** Names, as configured. */
  environments: readonly string[];
  generatedAt: string;
  /** Of the program. */
  version: string;
}

/** What was read to know it, and what can't be known. */
export interface ReportRead {
  /** Offsets of the status topic that were looked at. */
  records: number;
  /** Records that told of an opt-out once more; it is in the report once. */
  repeats: number;
  /** Records that can't be read: any may be of this period. The first few are named. */
  unreadable: { records: number; first: { partition: number; offset: number; detail: string }[] };
  /**
   * Partitions whose oldest record that is left lies within what was read: older ones are gone, and may be missing. Null: no
   * record is left.
   */
  expired: { partition: number; oldestRecordAt: string | null }[];
  behindTransaction: BehindTransaction[];
  /**
   * Records of the events topic, received at any time, that have no final outcome yet, and so are in no report; null if
   * that topic or the consumer group can't be read.
   */
  unsettled: number | null;
  /** Why not all could be read; null if it could. */
  problem: string | null;
}

/** A report as text, piece by piece. */
export interface ReportFormat {
  begin(head: ReportHead): string;
  optOut(optOut: OptOut): string;
  end(summary: Summary, read: ReportRead): string;
}

/** `2d 3h`, `4m 5s`, `6.25 s`. */
export function duration(seconds: number | null): string {
  if (seconds === null) return "–";
  if (seconds < 60) return `${seconds} s`;
  const whole = Math.round(seconds);
  const units = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3_600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "m"],
    [whole % 60, "s"],
  ] as const;
  const first = units.findIndex(([count]) => count > 0);
  return units
    .slice(first, first + 2)
    .map(([count, unit]) => `${count}${unit}`)
    .join(" ");
}

/** What a reader must know of what is missing, in sentences. Pure. */
export function remarks({ topic }: ReportHead, read: ReportRead): string[] {
  const { unreadable, expired, behindTransaction, unsettled, problem } = read;
  const several = (count: number, one: string, many: string): string =>
    `${grouped(count)} ${count === 1 ? one : many}`;
  return [
    ...(unsettled === null
      ? [
          "Whether opt-outs are without a final outcome yet is not known: the events topic or the consumer group couldn't be read.",
        ]
      : unsettled > 0
        ? [
            `${several(unsettled, "record of the events topic has", "records of the events topic have")} no final outcome yet, whenever received, and so no line here: see \`optout-relay ledger\`.`,
          ]
        : []),
    ...expired.map(({ partition, oldestRecordAt }) =>
      oldestRecordAt === null
        ? `All records of partition ${partition} of ${topic} are gone: what was recorded there is missing here.`
        : `The oldest record that partition ${partition} of ${topic} still has is of ${oldestRecordAt}: what was recorded before is gone, and may be missing here.`,
    ),
    ...(unreadable.records > 0
      ? [
          `${several(unreadable.records, "record", "records")} of ${topic} couldn't be read, and may be missing here: ` +
            `${unreadable.first.map(({ partition, offset, detail }) => `partition ${partition}, offset ${offset}: ${detail}`).join("; ")}.`,
        ]
      : []),
    ...behindTransaction.map(
      ({ partition, records }) =>
        `${several(records, "record", "records")} in partition ${partition} of ${topic} can't be read yet: an open transaction is before them.`,
    ),
    ...(problem === null ? [] : [problem]),
  ];
}

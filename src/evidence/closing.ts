import { grouped } from "../grouped.ts";
import type { Report } from "./evidence.ts";
import { duration, type ReportHead, remarks } from "./report.ts";

/** For whoever made the report: the numbers, what may be missing, and how to tell the file from a changed one. Pure. */
export function describeReport(head: ReportHead, report: Report, file: string | undefined): string {
  const { summary, read, bytes, sha256 } = report;
  const { optOuts, delivered, partiallyDelivered, rejected, timeToHonour } = summary;
  const { p50, p90, p99, max, atMost } = timeToHonour;
  return [
    `Received from ${head.from} until before ${head.to} (UTC): ${grouped(optOuts)} ${optOuts === 1 ? "opt-out" : "opt-outs"}. ` +
      `Honoured everywhere: ${grouped(delivered)}; in part: ${grouped(partiallyDelivered)}; not: ${grouped(rejected)}.`,
    ...(max === null
      ? []
      : [
          `Time to honour: half within ${duration(p50)}, 90 % ${duration(p90)}, 99 % ${duration(p99)}, slowest ${duration(max)}` +
            `${atMost > 0 ? `; ${grouped(atMost)} of the times are upper bounds` : ""}.`,
        ]),
    ...remarks(head, read),
    `${file === undefined ? "Written" : `Wrote ${file}`}: ${grouped(bytes)} bytes, SHA-256 ${sha256}`,
    "",
  ].join("\n");
}

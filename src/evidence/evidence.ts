import type { FoundStatus } from "../inspect/statuses.ts";
import { createCsv } from "./csv.ts";
import { createHtml } from "./html.ts";
import { createJson } from "./json.ts";
import { optOutOf } from "./opt-out.ts";
import type { Output, Written } from "./output.ts";
import type { ReportFormat, ReportHead, ReportRead } from "./report.ts";
import { createSummarizer, type Summary } from "./summary.ts";

export const FORMATS = ["csv", "json", "html"] as const;
export type FormatName = (typeof FORMATS)[number];

const FORMAT_OF: Record<FormatName, () => ReportFormat> = {
  csv: createCsv,
  json: createJson,
  html: () => createHtml(),
};

export interface Report extends Written {
  summary: Summary;
  read: ReportRead;
}

/** Writes a report as its opt-outs are read. @param read gives each of them once */
export async function writeReport(
  head: ReportHead,
  format: FormatName,
  output: Output,
  read: (give: (status: FoundStatus) => Promise<void>) => Promise<ReportRead>,
): Promise<Report> {
  const writer = FORMAT_OF[format]();
  const summarizer = createSummarizer(head.environments);
  await output.write(writer.begin(head));
  const done = await read(async (status) => {
    const optOut = optOutOf(status, { reveal: !head.phonesMasked });
    summarizer.add(optOut);
    await output.write(writer.optOut(optOut));
  });
  const summary = summarizer.result();
  await output.write(writer.end(summary, done));
  return { summary, read: done, ...(await output.finish()) };
}

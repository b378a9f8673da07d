import type { ReportFormat } from "./report.ts";

/** One JSON object, with a line for each opt-out, so that line by line readers can take it too. */
export function createJson(): ReportFormat {
  let isFirst = true;
  return {
    begin: (head) => `{"report":${JSON.stringify(head)},\n"optOuts":[\n`,
    optOut(optOut) {
      const separator = isFirst ? "" : ",\n";
      isFirst = false;
      return `${separator}${JSON.stringify(optOut)}`;
    },
    end: (summary, read) =>
      `${isFirst ? "" : "\n"}],\n"summary":${JSON.stringify(summary)},\n"read":${JSON.stringify(read)}}\n`,
  };
}

import { grouped } from "../grouped.ts";
/** Records of a partition that nobody can read yet: an open transaction holds them, or they lie behind its first. */
export interface BehindTransaction {
  partition: number;
  records: number;
}

/** Of those that have any. */
export const behindTransactions = (
  bounds: readonly { partition: number; behindTransaction: number }[],
): BehindTransaction[] =>
  bounds
    .filter(({ behindTransaction }) => behindTransaction > 0)
    .map(({ partition, behindTransaction: records }) => ({ partition, records }));

/** For people. */
export function transactionRemark({ partition, records }: BehindTransaction, topic: string): string {
  const [number, wait] = records === 1 ? ["1 record", "waits"] : [`${grouped(records)} records`, "wait"];
  return (
    `${number} ${wait} behind an open transaction in partition ${partition} of ${topic}: nobody can read them until its ` +
    "producer ends it, or its transaction.timeout.ms is over."
  );
}

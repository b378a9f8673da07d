/** A record of a fetch as kafkajs has decoded it, as far as transactions are concerned. */
export interface FetchedRecord {
  offset: string;
  key: Buffer | null;
  isControlRecord: boolean;
  batchContext?: { producerId: string; inTransaction: boolean };
}

/** One partition of a fetch's answer. */
export interface FetchedPartition {
  abortedTransactions?: readonly { producerId: string; firstOffset: string }[];
  messages: FetchedRecord[];
}

/** Of a control record's key: int16 version, int16 type. 0 ends a transaction by abort. */
const CONTROL_KEY_BYTES = 4;
const ABORT = 0;

const isAbort = ({ isControlRecord, key }: FetchedRecord): boolean =>
  isControlRecord && key !== null && key.length >= CONTROL_KEY_BYTES && key.readInt16BE(2) === ABORT;

/**
 * Takes the records of aborted transactions out of sight, by making them control records, which nobody gets to see.
 *
 * The broker names aborted transactions in the order in which they ended. kafkajs 2.2.4 takes that for the order in which
 * they began, and enters one at most with each record: so of transactions that overlap, and of several that had begun before
 * the fetch's first record, it shows records that their producer has withdrawn. It also takes a record for the end of its
 * transaction whose own key is four zero bytes. This is the way of the Java client (`CompletedFetch`): every transaction that
 * has begun by a record counts, until its producer's abort marker.
 */
export function hideAborted(partition: FetchedPartition): void {
  const { abortedTransactions = [], messages } = partition;
  if (abortedTransactions.length === 0) return;
  const toCome = abortedTransactions
    .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: BigInt(firstOffset) }))
    .sort((a, b) => Number(a.firstOffset - b.firstOffset));
  const aborted = new Set<string>();
  let next = 0;
  for (const message of messages) {
    const offset = BigInt(message.offset);
    for (let begun = toCome[next]; begun !== undefined && begun.firstOffset <= offset; begun = toCome[next]) {
      aborted.add(begun.producerId);
      next++;
    }
    const { batchContext } = message;
    if (batchContext === undefined) continue;
    if (isAbort(message)) aborted.delete(batchContext.producerId);
    else if (batchContext.inTransaction && aborted.has(batchContext.producerId))
      message.isControlRecord = true;
  }
  partition.abortedTransactions = [];
}

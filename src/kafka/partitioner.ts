import { Partitioners } from "kafkajs";

const choose = Partitioners.DefaultPartitioner();

/**
 * Where a keyed record goes in a topic of so many partitions: what `createRecordProducer` does, and with it the Java client
 * and librdkafka's murmur2.
 */
export function partitionOf(key: string | Buffer, partitions: number): number {
  const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
    ...{ partitionId, partitionErrorCode: 0, leader: 0, replicas: [], isr: [] },
  }));
  return choose({ topic: "", partitionMetadata, message: { key, value: null } });
}

import type { Admin } from "kafkajs";

/** What a consumer group has committed for a partition. */
export interface Commit {
  /** Below 0: nothing yet. */
  offset: number;
  metadata: string | null;
}

/** By partition. Rejects with kafkajs' errors. */
export async function readCommitted(
  admin: Admin,
  { groupId, topic }: { groupId: string; topic: string },
): Promise<Map<number, Commit>> {
  const [committed] = await admin.fetchOffsets({ groupId, topics: [topic] });
  return new Map(
    (committed?.partitions ?? []).map(({ partition, offset, metadata }) => [
      partition,
      { offset: Number(offset), metadata },
    ]),
  );
}

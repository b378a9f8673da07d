import { createSchemas } from "../inspect/schemas.ts";
import { readTopic } from "../kafka/topic-reader.ts";
import { requireTopics, withAdmin } from "../kafka/topics.ts";
import type { RedriveContext } from "./context.ts";
import { readLetter } from "./letter.ts";
import { createGatherer, type Gathered, type Plan, planOf, type Selection } from "./plan.ts";
import { createProvenanceReader } from "./provenance.ts";
import { findRedriven } from "./redriven.ts";

export interface PlanRequest {
  selection: Selection;
  /** Events at most. */
  limit: number;
  /** Also what was redriven before. */
  again: boolean;
}

/** Reads the dead letters and decides which events to send. Rejects with an explained OptoutError. */
export async function planRedrive(
  request: PlanRequest,
  context: RedriveContext,
): Promise<Plan & { gathered: Gathered }> {
  const { kafka, config } = context;
  const { selection, limit, again } = request;
  return withAdmin(kafka, config.kafka.brokers, async (admin) => {
    await requireTopics(admin, config);
    const gathered = await gather(selection, context);
    const statusIds = new Set(gathered.events.map(({ letter }) => letter.statusId));
    const since = gathered.events.reduce((first, { at }) => Math.min(first, at), Number.POSITIVE_INFINITY);
    const redriven =
      again || statusIds.size === 0
        ? new Map<string, number>()
        : await findRedriven(statusIds, since, admin, context);
    return { ...planOf(gathered.events, redriven, limit), gathered };
  });
}

async function gather(selection: Selection, context: RedriveContext): Promise<Gathered> {
  const { kafka, config, signal, progress } = context;
  const { deadLetter, events } = config.topics;
  const gatherer = createGatherer(selection, events);
  const { since } = selection;
  const schemas = createSchemas(config);
  const readProvenance = createProvenanceReader(config, schemas);
  const slices = readTopic({
    kafka,
    brokers: config.kafka.brokers,
    topic: deadLetter,
    ...(since !== undefined && { from: { time: since } }),
    signal,
  });
  try {
    for await (const { partition, messages, progress: done } of slices) {
      for (const message of messages) {
        gatherer.add(readLetter(message, partition, await readProvenance(message)));
      }
      progress(`reading dead letters in ${deadLetter}`, done);
    }
  } finally {
    schemas.close();
  }
  return gatherer.result();
}

import { createDecoder, type RecordIn } from "../events/decode.ts";
import { decodeWith, type Schemas } from "../inspect/schemas.ts";
import { withoutPhone } from "../phone/normalize.ts";
import type { RedriveContext } from "./context.ts";

/** How its producer names an event, without a phone number; null if it can't be read. */
export interface ShownProvenance {
  eventId: string | null;
  source: string | null;
}

export type ProvenanceReader = (record: RecordIn) => Promise<ShownProvenance>;

/** Reads dead letters as the relay would read their events, as far as their schemas can be had. */
export function createProvenanceReader(
  { normalization }: Pick<RedriveContext["config"], "normalization">,
  schemas: Schemas,
): ProvenanceReader {
  const decode = createDecoder({ normalization, schemas: schemas.cache });
  return async (record) => {
    const decoded = await decodeWith(schemas, decode, record);
    if (decoded === undefined) return { eventId: null, source: null };
    const { eventId, source } = decoded.ok ? decoded.event : decoded;
    const phone = decoded.ok ? decoded.event.phone : null;
    return {
      eventId: eventId === null ? null : withoutPhone(eventId, phone),
      source: withoutPhone(source, phone),
    };
  };
}

import { decodeLedger } from "../../src/batching/ledger.ts";
import { readCommitted } from "../../src/kafka/committed.ts";
import { highWatermarks, readTopic } from "../../src/kafka/topic-reader.ts";
import { endOffsets } from "../support/kafka.ts";
import { waitFor } from "../support/wait.ts";
import { type ChaosEvent, INDEX_HEADER } from "./events.ts";
import type { EventEvidence, Evidence } from "./evidence.ts";
import { type Play, setFaults } from "./play.ts";

/** A machine that does much else needs time; who isn't done by then has a defect. */
const HEALED_WITHIN_MS = 120_000;
/** Reading goes on again below this share of the room. */
const FULL_SHARE = 0.8;

/** The events that the group can read, by partition. */
export async function readEvents(play: Play): Promise<Map<number, EventEvidence[]>> {
  const { stage, traffic } = play;
  const { kafka, topics, house, schedule } = stage;
  const events = new Map<number, EventEvidence[]>();
  for (let partition = 0; partition < schedule.partitions; partition++) events.set(partition, []);
  for await (const { partition, messages } of readTopic({
    ...{ kafka, brokers: house.stack.brokers, topic: topics.events },
  })) {
    for (const { offset, key, value, headers } of messages) {
      const index = Number(String(headers?.[INDEX_HEADER]));
      const { meaning }: ChaosEvent = traffic.event(index);
      events.get(partition)?.push({ partition, offset: Number(offset), index, key, value, meaning });
    }
  }
  return events;
}

/** Makes everything whole again, and waits until all is settled. Answers what was waited for in vain. */
export async function healAndSettle(play: Play): Promise<Evidence["unfinished"]> {
  const { stage, places } = play;
  const { schedule } = stage;
  for (const environment of schedule.environments) {
    setFaults(play, environment, environment === schedule.witness ? { outage: true } : {});
  }
  places.fill();
  await noTransactionIsOpen(play);
  const unfinished: { invariant: 6 | 7; what: string }[] = [];
  const healingAt = Date.now();
  const note = (what: string): void => {
    play.timeline.push(`${what} ${Date.now() - healingAt} ms after everything was made whole`);
  };
  try {
    if (schedule.witness !== undefined) await othersGoOn(play, schedule.witness);
    note("the witness's outage ends");
  } catch (error) {
    unfinished.push({ invariant: 7, what: String(error) });
  }
  for (const environment of schedule.environments) setFaults(play, environment, {});
  try {
    await allSettled(play);
    note("all is settled");
  } catch (error) {
    unfinished.push({ invariant: 6, what: String(error) });
  }
  return unfinished;
}

/** What a producer left behind hides all that comes after it, until the broker aborts it. */
async function noTransactionIsOpen({ stage }: Play): Promise<void> {
  const { admin, kafka, house, topics } = stage;
  await waitFor(
    "the brokers to end all transactions",
    async () => {
      const readable = await endOffsets(admin, topics.events);
      const ends = await highWatermarks({ kafka, brokers: house.stack.brokers, topic: topics.events });
      return [...ends].every(([partition, end]) => readable.get(partition) === end);
    },
    HEALED_WITHIN_MS,
  );
}

/**
 * Something has to move all the time, but may take its time: with sessions this short, a machine that is busy enough has the
 * group start over again and again.
 */
async function untilDone(
  what: string,
  look: () => Promise<{ isDone: boolean; moved: number }>,
): Promise<void> {
  for (let isDone = false, most = -1; !isDone; ) {
    await waitFor(
      what,
      async () => {
        const seen = await look();
        const hasMoved = seen.moved > most;
        most = Math.max(most, seen.moved);
        isDone = seen.isDone;
        return isDone || hasMoved;
      },
      HEALED_WITHIN_MS,
    );
  }
}

async function allSettled({ stage }: Play): Promise<void> {
  const { admin, topics, groupId } = stage;
  const ends = await endOffsets(admin, topics.events);
  await untilDone("the committed offsets to move on to the end", async () => {
    const committed = await readCommitted(admin, { groupId, topic: topics.events });
    const offsetOf = (partition: number): number => Math.max(0, committed.get(partition)?.offset ?? 0);
    return {
      isDone: [...ends].every(([partition, end]) => end === 0 || offsetOf(partition) >= end),
      moved: [...ends.keys()].reduce((sum, partition) => sum + offsetOf(partition), 0),
    };
  });
}

/** While one environment is out, each other one gets all that is pending, or what the bound lets the relay hold. */
async function othersGoOn(play: Play, witness: string): Promise<void> {
  const { stage, places } = play;
  const events = await readEvents(play);
  const { simulator, schedule } = stage;
  const listed = (): number =>
    schedule.environments.reduce((sum, name) => sum + simulator.entries(name).length, 0);
  await untilDone(`the others to go on while ${witness} is out`, async () => ({
    moved: listed(),
    isDone: await haveGoneOn(),
  }));

  async function haveGoneOn(): Promise<boolean> {
    const running = places.running();
    const healthy = stage.schedule.environments.filter(
      (name) => name !== witness && running.every(({ settings }) => settings.environments.includes(name)),
    );
    if (healthy.length === 0) return true;
    const committed = await readCommitted(stage.admin, {
      groupId: stage.groupId,
      topic: stage.topics.events,
    });
    const full = await fullPartitions(play);
    return [...events].every(([partition, all]) => {
      const { offset = 0, metadata = null } = committed.get(partition) ?? {};
      const ledger = decodeLedger(offset, metadata, []);
      const sealed = ledger.ok ? (ledger.batches.at(-1)?.last ?? offset - 1) : offset - 1;
      // A ledger of a time with a larger bound may reach further than what is held now.
      const position = full.get(partition);
      const to = position === undefined ? Number.POSITIVE_INFINITY : Math.min(sealed, position - 1);
      const pending = all.filter((event) => event.offset >= offset && event.offset <= to);
      return areListed(play, pending, healthy);
    });
  }
}

/** Those that can take no more events, and the offset that each has read to. */
async function fullPartitions({ places }: Play): Promise<Map<number, number>> {
  const full = new Map<number, number>();
  for (const { name, settings } of places.running()) {
    for (const { partition, position, paused, pendingEvents } of (await places.look(name))?.partitions ??
      []) {
      if (paused && pendingEvents >= settings.maxPendingEntries * FULL_SHARE) full.set(partition, position);
    }
  }
  return full;
}

/** Whether all of these events whose phone is certain are on the lists of the healthy ones. */
function areListed({ stage }: Play, events: readonly EventEvidence[], healthy: readonly string[]): boolean {
  return healthy.every((name) => {
    const refused = new Set(stage.simulator.faults(name).rejectPhones);
    const listed = new Set(stage.simulator.entries(name).map(({ phone }) => phone));
    return events.every(({ meaning: { US, GB } }) => {
      if (!("wish" in US) || !("wish" in GB)) return true;
      return listed.has(US.wish.phone) || refused.has(US.wish.phone);
    });
  });
}

import avro from "avsc";
import { readTopic } from "../../src/kafka/topic-reader.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { STATUS_AVRO } from "../../src/registry/subjects.ts";
import { type StatusRecord, statusRecord } from "../../src/results/status.ts";
import type { DeadLetterEvidence, Evidence, RequestEvidence, StatusEvidence } from "./evidence.ts";
import { readGroupHistory } from "./offsets-topic.ts";
import { type Play, refusedPhones } from "./play.ts";
import type { Samples } from "./sampler.ts";
import { readMark, senderOf } from "./senders.ts";
import { readEvents } from "./settle.ts";
import type { Stage } from "./stage.ts";

/** What processes do when they look away is still seen that much later, in milliseconds. */
const MIN_LAG_MS = 250;
/** Before the wire format's payload. */
const FRAME_BYTES = 5;
/** Brokers' and our own clock count whole milliseconds, and a topic may be looked up by the millisecond before. */
const EARLIER_MS = 1_000;

function requestsOf({ stage, places }: Play): RequestEvidence[] {
  const names = places.names();
  const requests = stage.schedule.environments.flatMap((environment) =>
    stage.simulator.requests(environment).flatMap((record): RequestEvidence[] => {
      const { kind, key, sha256, status, applied, replayed, traceparent } = record;
      const mark = readMark(traceparent);
      if (kind !== "entries" || mark === undefined) return [];
      const sender = senderOf(mark.address, names);
      return [{ environment, sender, at: mark.at, key: key ?? "", sha256, status, applied, replayed }];
    }),
  );
  return requests.sort((a, b) => a.at - b.at);
}

async function statusesOf({ kafka, house, topics, schedule }: Stage): Promise<StatusEvidence[]> {
  const type = avro.Type.forSchema(JSON.parse(readPackageFile(STATUS_AVRO)));
  const decode = (value: Buffer): StatusRecord =>
    statusRecord.parse(
      schedule.registry ? plain(type.fromBuffer(value.subarray(FRAME_BYTES))) : JSON.parse(String(value)),
    );
  const statuses: StatusEvidence[] = [];
  for await (const { messages } of readTopic({ kafka, brokers: house.stack.brokers, topic: topics.status })) {
    for (const { value, timestamp } of messages) {
      if (value !== null) statuses.push({ at: Number(timestamp), status: decode(value) });
    }
  }
  return statuses;
}

/** avsc's records are of classes of their own. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

async function deadLettersOf({ kafka, house, topics }: Stage): Promise<DeadLetterEvidence[]> {
  const letters: DeadLetterEvidence[] = [];
  const brokers = house.stack.brokers;
  for await (const { messages } of readTopic({ kafka, brokers, topic: topics.deadLetter })) {
    for (const { key, value, headers = {} } of messages) {
      const text = (name: string): string | null =>
        headers[name] === undefined ? null : String(headers[name]);
      letters.push({
        partition: Number(text("__connect.errors.partition")),
        offset: Number(text("__connect.errors.offset")),
        reason: text("optout.reason") ?? "",
        environment: text("optout.environment"),
        key,
        value,
      });
    }
  }
  return letters;
}

/** Collects everything there is to be seen, once all processes have ended. */
export async function gatherEvidence(
  play: Play,
  { lag, silent, ...seen }: Samples & Pick<Evidence, "unfinished"> & { lag: number },
): Promise<Evidence> {
  const { stage, places, traffic, shortUntil } = play;
  const { kafka, house, topics, groupId, clusterId, schedule, simulator, openedAt } = stage;
  const { environments } = schedule;
  const { commits, generations } = await readGroupHistory({
    ...{ kafka, brokers: house.stack.brokers, groupId, topic: topics.events, environments },
    since: openedAt - EARLIER_MS,
  });
  return {
    topic: topics.events,
    ...{ clusterId, environments, commits, generations, shortUntil },
    ...seen,
    lag: MIN_LAG_MS + lag,
    processes: places.evidence().map((each) => ({ ...each, silent: silent.get(each.name) ?? [] })),
    events: await readEvents(play),
    requests: requestsOf(play),
    statuses: await statusesOf(stage),
    deadLetters: await deadLettersOf(stage),
    lists: new Map(environments.map((name) => [name, simulator.entries(name)])),
    refused: new Map(environments.map((name) => [name, new Set(refusedPhones(schedule, traffic, name))])),
    produced: traffic.produced,
    aborted: traffic.aborted,
  };
}

/** Every environment down while events pile up in Kafka: the relay's memory stays bounded, and afterwards all arrive. */
import { type Measurement, say } from "../../bench/report.ts";
import { residentBytes } from "../support/samples.ts";
import { createScenario, optOuts } from "../support/scenario.ts";

const ENVIRONMENTS = ["production", "us-west"];
const CHUNK = 5_000;
/** Two of 128 MiB of records at most, in their several forms, and the process itself. */
const MAX_RESIDENT_MIB = 768;
const RECOVERED_WITHIN_MS = 60 * 60_000;

export async function measureBacklog(events: number): Promise<Measurement[]> {
  say(`soak: a backlog of ${events} events with every environment down`);
  await using scenario = await createScenario({
    partitions: 4,
    environments: ENVIRONMENTS,
    batching: { maxEntries: 100 },
  });
  const { simulator } = scenario;
  for (const name of ENVIRONMENTS) simulator.setFaults(name, { outage: true });
  const relay = await scenario.startRelay();
  let most = 0;
  const look = (): void => {
    most = Math.max(most, residentBytes(relay.pid));
  };
  for (let from = 0; from < events; from += CHUNK) {
    await scenario.produce(optOuts(from, Math.min(events, from + CHUNK)));
    look();
  }
  const whileDown = most;
  for (const name of ENVIRONMENTS) simulator.setFaults(name, {});
  const startedAt = performance.now();
  const looking = setInterval(look, 250);
  await scenario.allSettled(RECOVERED_WITHIN_MS).finally(() => clearInterval(looking));
  const seconds = (performance.now() - startedAt) / 1_000;
  const arrived = ENVIRONMENTS.map((name) => simulator.entries(name).length);
  const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);
  return [
    {
      what: `most resident memory, while ${events} events piled up and afterwards`,
      measured: `${mebibytes(whileDown)}, ${mebibytes(most)} MiB`,
      bar: `at most ${MAX_RESIDENT_MIB} MiB`,
      met: mebibytes(most) <= MAX_RESIDENT_MIB,
    },
    {
      what: `recovery: on each list after ${Math.round(seconds)} s, ${Math.round(events / seconds)} events a second`,
      measured: arrived.join(", "),
      bar: `${events} each`,
      met: arrived.every((count) => count === events),
    },
  ];
}

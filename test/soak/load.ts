/** Load with faults that take turns: events on the topic and posted to the gateway, one relay, three environments. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Measurement, say } from "../../bench/report.ts";
import type { FaultsInput } from "../../src/simulator/faults.ts";
import { readyGateway } from "../support/gateway.ts";
import { type CliProcess, runCli } from "../support/process.ts";
import { flatnessOf, QUANTITIES, type Sample, sampleOf } from "../support/samples.ts";
import { createScenario, optOuts, phoneOf, type Scenario } from "../support/scenario.ts";

export type Finding = Measurement;

const ENVIRONMENTS = ["production", "us-west", "eu-central"];
/** Of the topic; the gateway gets a tenth of it. */
const EVENTS = 50;
const EVERY_MS = 250;
const SAMPLE_EVERY_MS = 2_000;
const FAULT_EVERY_MS = 15_000;
const SETTLED_WITHIN_MS = 10 * 60_000;

/** One environment after the other has one of these, and none in between. */
const FAULTS: FaultsInput[] = [
  { dropAfterApply: 0.1 },
  { outage: true },
  { errorRate: 0.3 },
  { outage: "503" },
  { latencyMs: 300, jitterMs: 300 },
  { requestsPerSecond: 2 },
  { tokenTtlSeconds: 2 },
  { shortAck: 1 },
];

const startGateway = ({ config }: Scenario): CliProcess =>
  runCli(["gateway"], {
    env: {
      OPTOUT_KAFKA__BROKERS: config.kafka.brokers.join(","),
      OPTOUT_TOPICS__EVENTS: config.topics.events,
      OPTOUT_GATEWAY__PORT: "0",
      OPTOUT_GATEWAY__REQUESTS_PER_SECOND: "10000",
      OPTOUT_ENVIRONMENTS:
        '[{"name":"e","baseUrl":"http://127.0.0.1:9","auth":{"clientId":"c","clientSecret":"s"}}]',
    },
  });

/** Runs this again and again, with a pause between, until it is over. */
async function every(
  pause: number,
  isOver: () => boolean,
  run: (round: number) => Promise<void>,
): Promise<void> {
  for (let round = 0; !isOver(); round += 1) {
    await run(round);
    await sleep(pause);
  }
}

export async function measureLoad(duration: number): Promise<Finding[]> {
  await using scenario = await createScenario({ partitions: 4, environments: ENVIRONMENTS });
  await using gateway = startGateway(scenario);
  const relay = await scenario.startRelay();
  const gatewayUrl = await readyGateway(gateway);
  const ends = performance.now() + duration;
  const isOver = (): boolean => performance.now() >= ends;
  say(`soak: ${Math.round(duration / 60_000)} minutes of load with faults`);

  let asked = 0;
  let posted = 0;
  let refused = 0;
  const samples = { relay: [] as Sample[], gateway: [] as Sample[] };
  const post = async (): Promise<void> => {
    const phone = phoneOf(asked);
    asked += 1;
    posted += 1;
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ phone, source: "ivr" });
    const { status } = await fetch(`${gatewayUrl}/opt-out`, { method: "POST", headers, body });
    if (status !== 202) refused += 1;
  };
  await Promise.all([
    every(EVERY_MS, isOver, async () => {
      const from = asked;
      asked += EVENTS;
      await scenario.produce(optOuts(from, from + EVENTS));
    }),
    every(EVERY_MS / 5, isOver, post),
    every(SAMPLE_EVERY_MS, isOver, async () => {
      samples.relay.push(await sampleOf(relay.pid, relay.url));
      samples.gateway.push(await sampleOf(gateway.pid, gatewayUrl));
    }),
    every(FAULT_EVERY_MS, isOver, async (round) => {
      const name = ENVIRONMENTS[round % ENVIRONMENTS.length] ?? "";
      for (const each of ENVIRONMENTS) scenario.simulator.setFaults(each, {});
      scenario.simulator.setFaults(name, FAULTS[round % FAULTS.length] ?? {});
      if (round % 5 === 4) scenario.simulator.revokeTokens(name);
    }),
  ]);
  for (const each of ENVIRONMENTS) scenario.simulator.setFaults(each, {});
  await scenario.allSettled(SETTLED_WITHIN_MS);
  return [
    ...flatness("relay", samples.relay),
    ...flatness("gateway", samples.gateway),
    {
      what: `opt-outs on every list, of ${asked} (${posted} by the gateway)`,
      measured: String(Math.min(...ENVIRONMENTS.map((name) => scenario.simulator.entries(name).length))),
      bar: `${asked}, none refused by the gateway`,
      met: refused === 0 && ENVIRONMENTS.every((name) => scenario.simulator.entries(name).length === asked),
    },
  ];
}

function flatness(name: string, samples: readonly Sample[]): Finding[] {
  return flatnessOf(samples).map(({ quantity, first, second, most, isFlat }) => {
    const { unit, scale } = QUANTITIES[quantity];
    const [a, b, c] = [first, second, most].map((value) => Math.round(value / scale));
    return {
      what: `${name}: ${quantity}, first half → second half (most)`,
      measured: `${a} → ${b} (${c}) ${unit}`.trim(),
      bar: "flat",
      met: isFlat,
    };
  });
}

import { AssignerProtocol } from "kafkajs";
import { MAX_LEDGER_CHARS } from "../../src/batching/ledger.ts";
import type { HttpSend } from "../../src/delivery/dialects/dialect.ts";
import type { OptoutError } from "../../src/errors.ts";
import { DRAIN_MS } from "../../src/relay/drain.ts";
import type { Lease } from "../../src/relay/lease.ts";
import type { Member } from "../../src/relay/member.ts";
import { createBrokers, EVENTS, type Kafka } from "./broker.ts";
import { type Client, connectionLost, createClient, type KafkaFaults, outOfRange } from "./client.ts";
import { createEnvironments, type Environments } from "./environments.ts";
import { createJudge, type Judge } from "./judge.ts";
import { ALL_ENVIRONMENTS, type RelayProcess, type Setting, startRelay } from "./relay-process.ts";
import { createRequests } from "./requests.ts";
import { type Context, createTimers, randomFrom, within } from "./virtual-time.ts";
import { createWire, type Happening, type Wire } from "./wire.ts";

/** Stands between the code under test and the model, to break the one or the other on purpose. */
export interface Sabotage {
  lease?(actual: Lease): Lease;
  /** The brokers, as one process sees them. */
  brokers?(actual: Kafka): Kafka;
  client?(actual: Client, setting: Setting, kafka: Kafka): Client;
  send?(actual: HttpSend): HttpSend;
  environments?(actual: Environments): Environments;
  member?(actual: Member): Member;
  maxLedgerChars?(actual: number): number;
}

/** One start of the program. */
export interface Process {
  readonly number: number;
  readonly setting: Setting;
  readonly faults: KafkaFaults;
  readonly wire: Wire;
  readonly context: Context;
  state: "running" | "suspended" | "dead";
  /** At shutdown nothing is sent any more. */
  isStopping: boolean;
  relay: RelayProcess | undefined;
  /** Since it began to stop, something happened that may keep it from committing. */
  isDisturbed: boolean;
}

export interface WorldOptions {
  partitions: number;
  firstOffset: number;
  /** Of delays and jitter in the code under test. */
  seed: number;
  /** Of a ledger, at most. */
  maxLedgerChars?: number;
  /** Told of all that happens, for people who look for the cause of a violation. */
  trace?(line: string): void;
  sabotage?: Sabotage;
}

/** Everything there is, and what may happen next in it. */
export interface World {
  readonly now: number;
  readonly kafka: Kafka;
  readonly environments: Environments;
  readonly judge: Judge;
  /** Those that aren't dead. */
  processes(): Process[];
  start(setting: Setting): Promise<void>;
  /** Its memory is gone; of its requests under way some still arrive. */
  crash(process: Process, arriving: number): void;
  cut(process: Process, arriving: number): Promise<void>;
  /** Leaves the group, as at shutdown. */
  stop(process: Process): Promise<void>;
  happenings(): Happening[];
  run(happening: Happening): Promise<void>;
  /** To the given time, with nothing happening before. */
  moveTo(time: number): void;
  /** When a timer or a broker is due next. */
  nextDue(): number;
}

/** As at shutdown: after so long a process ends, whether it could drain and leave the group or not. */
const STOP_MS = 16_000;

/** By environment: the phones that it refuses, by their last digit. */
const REFUSED_DIGIT: Readonly<Record<string, string>> = { production: "7", "eu-central": "8", latam: "7" };

const refuses = (environment: string, phone: string): boolean =>
  REFUSED_DIGIT[environment] !== undefined && phone.endsWith(REFUSED_DIGIT[environment]);

const partitionsOf = (assignment: Buffer): number[] =>
  AssignerProtocol.MemberAssignment.decode(assignment)?.assignment[EVENTS] ?? [];

export function createWorld(options: WorldOptions): World {
  const { sabotage = {}, maxLedgerChars = MAX_LEDGER_CHARS } = options;
  let now = 1_000;
  const random = randomFrom(options.seed);
  const processes: Process[] = [];
  const running = (number: number): boolean => processes[number]?.state === "running";

  const judge = createJudge({
    logs: () => kafka.logs,
    commitOf: (partition) => kafka.commits.get(partition),
    owns: (process, partition) =>
      kafka.group
        .owners()
        .some((owner) => owner.process === process && partitionsOf(owner.assignment).includes(partition)),
    ownerOf: (partition) =>
      kafka.group.owners().find(({ assignment }) => partitionsOf(assignment).includes(partition))?.process,
    settingOf: (number) => {
      const process = processes[number];
      if (process === undefined) throw new Error(`there is no process ${number}`);
      return process.setting;
    },
    refuses,
    maxLedgerChars,
  });

  const kafka: Kafka = createBrokers({
    ...{ partitions: options.partitions, firstOffset: options.firstOffset },
    ...{ now: () => now, random, outOfRange, onCommit: judge.onCommit },
  });
  const actual = createEnvironments({ names: ALL_ENVIRONMENTS, refuses, onApplied: judge.onApplied });
  const environments = sabotage.environments?.(actual) ?? actual;

  const clientOf = ({ number, wire, faults, setting }: Process) => {
    const client = createClient({
      ...{ process: number, wire, faults, kafka: sabotage.brokers?.(kafka) ?? kafka },
      onResults(topic, values) {
        if (topic === "opt-out-status") for (const value of values) judge.onStatus(number, value);
      },
    });
    return sabotage.client?.(client, setting, kafka) ?? client;
  };

  const die = (process: Process, arriving: number): void => {
    process.state = "dead";
    process.context.timers.clear();
    process.wire.orphan(arriving);
    let left = arriving;
    environments.orphan(process.number, () => left-- > 0);
  };

  const relayOf = (process: Process): RelayProcess => {
    const { member, drain } = startRelay({
      setting: process.setting,
      client: clientOf(process),
      send(environment) {
        const send = createRequests({
          ...{ process: process.number, environment, judge },
          send: (request) => environments.send(process.number, environment, request),
          epoch: () => process.relay?.member.assignment.epoch,
        });
        return sabotage.send?.(send) ?? send;
      },
      maxLedgerChars: sabotage.maxLedgerChars?.(maxLedgerChars) ?? maxLedgerChars,
      ...{ now: () => now, random, lease: sabotage.lease ?? ((actual) => actual) },
      isStopping: () => process.isStopping,
      onFatal(error: OptoutError) {
        if (error.code === "internal") judge.say(`${process.number} can't go on: ${error.message}`);
        die(process, 0);
      },
      onDefect: (message) => judge.say(`an answer couldn't be dealt with: ${message}`),
    });
    return { member: sabotage.member?.(member) ?? member, drain };
  };

  const leave = async (process: Process, { member, drain }: RelayProcess): Promise<void> => {
    const { epoch } = member.assignment;
    const until = now + DRAIN_MS;
    member.assignment.close();
    await drain();
    if (!process.isDisturbed && now < until && epoch === member.assignment.epoch) {
      judge.onDrained(epoch);
    }
    await member.consumer.stop();
  };

  return {
    get now() {
      return now;
    },
    kafka,
    environments,
    judge,
    processes: () => processes.filter(({ state }) => state !== "dead"),
    async start(setting) {
      const number = processes.length;
      const process: Process = {
        ...{
          number,
          setting,
          wire: createWire(number),
          state: "running",
          relay: undefined,
          isStopping: false,
          isDisturbed: false,
        },
        faults: { commits: [], results: [], fetches: [] },
        context: { now: () => now, random, timers: createTimers() },
      };
      processes.push(process);
      await within(process.context, () => {
        process.relay = relayOf(process);
      });
    },
    crash: die,
    async cut(process, arriving) {
      const { context, wire, state } = process;
      process.isDisturbed = true;
      // Who is suspended finds out when it goes on; here that is the same as answers that were never read.
      if (state === "running") await within(context, () => wire.cut(connectionLost, arriving));
    },
    async stop(process) {
      const { context, relay } = process;
      process.isStopping = true;
      process.isDisturbed = process.faults.commits.length > 0;
      await within(context, () => {
        const end = () => die(process, 0);
        setTimeout(end, STOP_MS);
        if (relay !== undefined) leave(process, relay).then(end, end);
      });
    },
    happenings: () => [
      ...processes.flatMap(({ number, wire, context, state }): Happening[] => {
        const all = wire.happenings();
        if (state !== "running") return all.filter(({ at }) => at === "server");
        const { timers } = context;
        return timers.due() <= now
          ? [...all, { what: `${number} timer`, at: number, run: timers.fire }]
          : all;
      }),
      ...environments.happenings(running),
    ],
    async run({ at, what, run }) {
      options.trace?.(`${now.toFixed(1)} ${what}`);
      const process = at === "server" ? undefined : processes[at];
      if (process === undefined) run();
      else await within(process.context, run);
    },
    moveTo(time) {
      now = Math.max(now, time);
      kafka.tick();
    },
    nextDue: () =>
      Math.min(
        kafka.due(),
        ...processes.map(({ state, context }) =>
          state === "running" ? context.timers.due() : Number.POSITIVE_INFINITY,
        ),
      ),
  };
}

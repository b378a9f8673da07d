import { writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { ConfigInput } from "../../src/config/schema.ts";
import { type CliProcess, runCli } from "../support/process.ts";
import { MAX_CONCURRENCY } from "./checks/owner.ts";
import type { ProcessEvidence } from "./evidence.ts";
import type { Settings } from "./schedule.ts";
import { addressOf } from "./senders.ts";
import type { Stage } from "./stage.ts";

/** A relay process, and what was done to it. */
interface Actor {
  readonly name: string;
  readonly settings: Settings;
  readonly cli: CliProcess;
  readonly startedAt: number;
  readonly frozen: { from: number; to: number }[];
  endedAt: number | undefined;
  /** This run has ended it, or means to. */
  isDismissed: boolean;
}

const State = z.object({
  phase: z.string(),
  partitions: z.array(
    z.object({
      partition: z.number(),
      position: z.number(),
      pendingEvents: z.number(),
      paused: z.boolean(),
      committedOffset: z.number(),
    }),
  ),
});
export type RelayView = z.infer<typeof State>;

/** Places for relay processes, one at a time in each; one that ends by itself is started again, as a supervisor does. */
export interface Places {
  start(place: number, settings: Settings): void;
  end(place: number, signal: "SIGKILL" | "SIGTERM"): Promise<void>;
  freeze(place: number, ms: number): Promise<void>;
  /** Resolves when the place's process is in the group, or isn't in spite of much patience, or no more. */
  isActive(place: number): Promise<void>;
  /** Every place has a process again, with the settings that it had last. */
  fill(): void;
  running(): { name: string; settings: Settings }[];
  /** What a running process says of itself; undefined if it doesn't answer. */
  look(name: string): Promise<RelayView | undefined>;
  /** Ends all, in good order if that is possible. */
  close(): Promise<void>;
  evidence(): Omit<ProcessEvidence, "silent">[];
  /** By the address at which it reaches the simulator. */
  names(): Map<string, string>;
  /** Writes what the processes printed. */
  writeLogs(folder: string): Promise<void>;
}

const RESTART_AFTER_MS = 500;
/** The relay gives itself ten seconds for what is in flight, and then some for the rest. */
const END_WITHIN_MS = 30_000;
const LOOK_WITHIN_MS = 10_000;
const ACTIVE_WITHIN_MS = 20_000;
const POLL_MS = 100;

function configOf(
  { house, schedule, topics, groupId, simulator }: Stage,
  { name, host, settings }: { name: string; host: string; settings: Settings },
): ConfigInput {
  const baseUrl = (environment: string): string => {
    const url = new URL(simulator.baseUrl(environment));
    url.hostname = host;
    return url.href;
  };
  return {
    kafka: {
      brokers: house.stack.brokers,
      groupId,
      clientId: name,
      sessionTimeout: `${schedule.sessionTimeout}ms`,
    },
    topics,
    ...(schedule.registry && { schemaRegistry: { url: house.proxy.url, requestTimeout: "1s" } }),
    normalization: { defaultRegion: settings.region },
    batching: {
      maxEntries: settings.maxEntries,
      maxWait: `${settings.maxWait}ms`,
      maxPendingEntries: settings.maxPendingEntries,
    },
    environments: settings.environments.map((environment) => ({
      name: environment,
      baseUrl: baseUrl(environment),
      auth: { clientId: "relay", clientSecret: "relay-secret" },
      requestsPerSecond: schedule.requestsPerSecond,
      maxConcurrency: MAX_CONCURRENCY,
      requestTimeout: "3s",
      retry: { initialBackoff: "50ms", maxBackoff: "500ms" },
    })),
    server: { port: 0 },
  };
}

const FOR_WANT =
  /^optout-relay: (Can't reach (Kafka|the schema registry) |Kafka at \S+ (didn't answer|closed)|A request to Kafka |No broker answered )/m;

/** One that doesn't begin for want of a broker is started again; who was in the group has to wait for it. */
function defectOf({ cli, isDismissed }: Actor, code: number | null): string | null {
  if (isDismissed) return null;
  const hasBegun = /"partitions taken over"|"in the group, without partitions"/.test(cli.stdout());
  if (!hasBegun && FOR_WANT.test(cli.stderr())) return null;
  const said = `${cli.stdout()}${cli.stderr()}`.trim().split("\n").slice(-3).join(" | ");
  return `code ${code}: ${said.slice(0, 2_000)}`;
}

export async function openPlaces(stage: Stage, folder: string): Promise<Places> {
  await mkdir(folder, { recursive: true });
  const actors: Actor[] = [];
  const defects = new Map<string, string>();
  const present = new Map<number, Actor>();
  const lastSettings = new Map<number, Settings>();
  let closed = false;

  // Whoever ends this process means the relays too.
  const killAll = (): void => {
    for (const { cli, endedAt } of actors) if (endedAt === undefined) cli.kill("SIGKILL");
  };
  process.once("exit", killAll);

  const start = (place: number, settings: Settings): void => {
    lastSettings.set(place, settings);
    const before = present.get(place);
    if (closed || (before !== undefined && before.endedAt === undefined)) return;
    const number = actors.length;
    const name = `relay-${place}-${number}`;
    const file = join(folder, `${name}.json`);
    writeFileSync(file, JSON.stringify(configOf(stage, { name, host: addressOf(number), settings })));
    const cli = runCli(["relay", "--config", file]);
    const actor: Actor = {
      ...{ name, settings, cli, startedAt: Date.now(), frozen: [], endedAt: undefined, isDismissed: false },
    };
    actors.push(actor);
    present.set(place, actor);
    void watch(place, actor);
  };

  const watch = async (place: number, actor: Actor): Promise<void> => {
    const { code } = await actor.cli.exit;
    actor.endedAt = Date.now();
    const defect = defectOf(actor, code);
    if (defect !== null) defects.set(actor.name, defect);
    if (actor.isDismissed || closed) return;
    await sleep(RESTART_AFTER_MS);
    if (present.get(place) === actor) start(place, lastSettings.get(place) ?? actor.settings);
  };

  const end = async (actor: Actor, signal: "SIGKILL" | "SIGTERM"): Promise<void> => {
    actor.isDismissed = true;
    actor.cli.kill(signal);
    const patience = setTimeout(() => actor.cli.kill("SIGKILL"), END_WITHIN_MS);
    await actor.cli.exit;
    clearTimeout(patience);
  };

  const urlOf = ({ cli }: Actor): string | undefined => {
    const url = cli.logs().find((line) => typeof line.url === "string")?.url;
    return typeof url === "string" ? url : undefined;
  };
  const urls = new Map<string, string>();

  const look = async (name: string): Promise<RelayView | undefined> => {
    const actor = actors.find((each) => each.name === name);
    if (actor === undefined || actor.endedAt !== undefined) return undefined;
    const url = urls.get(name) ?? urlOf(actor);
    if (url === undefined) return undefined;
    urls.set(name, url);
    try {
      const answer = await fetch(`${url}/state`, { signal: AbortSignal.timeout(LOOK_WITHIN_MS) });
      return State.parse(await answer.json());
    } catch {
      return undefined;
    }
  };

  const running = (): Actor[] =>
    actors.filter(({ endedAt, isDismissed }) => endedAt === undefined && !isDismissed);

  return {
    start,
    async end(place, signal) {
      const actor = present.get(place);
      if (actor !== undefined) await end(actor, signal);
    },
    async freeze(place, ms) {
      const actor = present.get(place);
      if (actor === undefined || actor.endedAt !== undefined) return;
      const from = Date.now();
      actor.cli.kill("SIGSTOP");
      await sleep(ms);
      actor.frozen.push({ from, to: Date.now() });
      actor.cli.kill("SIGCONT");
    },
    async isActive(place) {
      const actor = present.get(place);
      const patience = performance.now() + ACTIVE_WITHIN_MS;
      while (actor !== undefined && actor.endedAt === undefined && performance.now() < patience) {
        if ((await look(actor.name))?.phase === "active") return;
        await sleep(POLL_MS);
      }
    },
    fill() {
      for (const [place, settings] of lastSettings) start(place, settings);
    },
    running,
    look,
    async close() {
      closed = true;
      await Promise.all(
        actors.filter(({ endedAt }) => endedAt === undefined).map((actor) => end(actor, "SIGTERM")),
      );
      process.off("exit", killAll);
    },
    evidence: () =>
      actors.map(({ name, settings, startedAt, endedAt, frozen }) => ({
        ...{ name, settings, startedAt, frozen },
        endedAt: endedAt ?? Date.now(),
        defect: defects.get(name) ?? null,
      })),
    names: () => new Map(actors.map(({ name }, number) => [addressOf(number), name])),
    async writeLogs(target) {
      for (const { name, cli } of actors) {
        await writeFile(join(target, `${name}.log`), `${cli.stdout()}\n${cli.stderr()}`);
      }
    },
  };
}

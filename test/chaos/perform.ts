import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkAll } from "./checks/index.ts";
import type { Evidence, Violation } from "./evidence.ts";
import { gatherEvidence } from "./gather.ts";
import { watchLag } from "./lag.ts";
import { openPlaces } from "./places.ts";
import { type Play, playSchedule } from "./play.ts";
import { type Line, lineOf } from "./report.ts";
import { type Samples, startSampling } from "./sampler.ts";
import { describeSchedule, type Schedule } from "./schedule.ts";
import { markSenders } from "./senders.ts";
import { healAndSettle } from "./settle.ts";
import { type House, openStage } from "./stage.ts";
import { createTraffic } from "./traffic.ts";

export interface PerformOptions {
  /** Where a schedule that violates something leaves its folder. */
  failures: string;
}

/** Lets a schedule happen in a house, heals everything, and holds what was seen against the invariants. */
export async function performSchedule(
  house: House,
  schedule: Schedule,
  options: PerformOptions,
): Promise<Line> {
  const startedAt = performance.now();
  const folder = await mkdtemp(join(tmpdir(), "optout-chaos-"));
  const unmark = markSenders();
  const lag = watchLag();
  try {
    await using stage = await openStage(house, schedule);
    const places = await openPlaces(stage, folder);
    const play: Play = { stage, places, traffic: createTraffic(stage), timeline: [], shortUntil: new Map() };
    const samples = startSampling(places);
    let unfinished: Evidence["unfinished"];
    let seen: Samples;
    try {
      await playSchedule(play);
      unfinished = await healAndSettle(play);
    } finally {
      seen = samples.stop();
      await places.close();
    }
    const evidence = await gatherEvidence(play, { ...seen, unfinished, lag: lag.stop() });
    const violations = checkAll(evidence);
    const seconds = (performance.now() - startedAt) / 1_000;
    if (violations.length > 0)
      await writeFailure(join(options.failures, String(schedule.seed)), play, evidence, violations);
    return lineOf(schedule, evidence, violations, seconds);
  } finally {
    lag.stop();
    unmark();
    await rm(folder, { recursive: true, force: true });
  }
}

const asJson = (_name: string, value: unknown): unknown => {
  if (value instanceof Map) return Object.fromEntries(value);
  return value instanceof Set ? [...value] : value;
};

const linesOf = (rows: readonly unknown[]): string =>
  rows.map((row) => `${JSON.stringify(row, asJson)}\n`).join("");

/** All that is needed to understand it: the phones are made up, and the folder stays on this machine. */
async function writeFailure(
  folder: string,
  { stage, places, timeline }: Play,
  evidence: Evidence,
  violations: readonly Violation[],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const write = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);
  await write("schedule.txt", `${describeSchedule(stage.schedule)}\n`);
  await write("schedule.json", JSON.stringify(stage.schedule, asJson, 2));
  await write("timeline.txt", `${timeline.join("\n")}\n`);
  await write("violations.txt", violations.map(({ invariant, what }) => `${invariant}: ${what}\n`).join(""));
  await write("requests.jsonl", linesOf(evidence.requests));
  await write("commits.jsonl", linesOf([...evidence.commits.values()].flat()));
  await write("generations.jsonl", linesOf(evidence.generations));
  await write("statuses.jsonl", linesOf(evidence.statuses));
  await write("processes.jsonl", linesOf(evidence.processes));
  await write(
    "events.jsonl",
    linesOf([...evidence.events.values()].flat().map(({ key, value, ...rest }) => rest)),
  );
  await places.writeLogs(folder);
}

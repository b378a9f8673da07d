/** What was measured, by bench, kept in `bench/results.json`: a run of some benches leaves the others' results as they were. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { resolve } from "node:path";
import { java } from "./contenders/java.ts";
import type { Growth } from "./growth.ts";
import type { Latency } from "./latency.ts";
import type { Recovery } from "./recovery.ts";
import type { Measurement } from "./report.ts";
import type { Setting } from "./throughput.ts";

/** Of a bench: what, where and when. */
export interface Result<T> {
  measured: T;
  machine: string;
  date: string;
  repetitions: number;
}

export interface Results {
  throughput?: Result<Setting[]>;
  latency?: Result<Latency[]>;
  recovery?: Result<Recovery>;
  growth?: Result<Growth[]>;
  quota?: Result<Measurement[]>;
  trace?: Result<Measurement[]>;
  isolation?: Result<Measurement[]>;
  phone?: Result<Measurement[]>;
}

const FILE = resolve("bench/results.json");

export const readResults = (file = FILE): Results =>
  existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};

export const writeResults = (results: Results, file = FILE): void =>
  writeFileSync(file, `${JSON.stringify(results, roundedNumbers, 2)}\n`);

const roundedNumbers = (_key: string, value: unknown): unknown =>
  typeof value === "number" ? Number(value.toPrecision(4)) : value;

export const resultOf = <T>(measured: T, repetitions: number): Result<T> => ({
  ...{ measured, repetitions, machine: machine() },
  date: new Date().toISOString().slice(0, 10),
});

function machine(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 1_024 ** 3);
  const jvm = /version "([^"]+)"/.exec(spawnSync(java(), ["-version"]).stderr?.toString())?.[1] ?? "absent";
  return `${cpus().length} cores (${cpu?.model.trim()}), ${memory} GiB, Node ${process.versions.node}, Java ${jvm}`;
}

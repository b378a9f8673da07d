/**
 * `npm run chaos -- --schedules N --seed S --workers W`: random schedules over a real Kafka, a real registry and real relay
 * processes. `--seed S` replays the schedules from S on, `--seed S,T,U` just these; `--print` only says what they hold. A line for each goes to
 * `--report FILE`, and what is needed to understand a failure to `--failures FOLDER`. Exits with 1 on any violation.
 */
import { randomInt } from "node:crypto";
import { appendFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { generateSchedule } from "./generate.ts";
import { type Line, tableOf } from "./report.ts";
import { describeSchedule } from "./schedule.ts";
import { startWorker, type Worker } from "./worker-process.ts";

const { values } = parseArgs({
  options: {
    schedules: { type: "string", default: "20" },
    seed: { type: "string" },
    workers: { type: "string", default: "1" },
    report: { type: "string" },
    failures: { type: "string", default: "chaos-failures" },
    print: { type: "boolean", default: false },
  },
});

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const whole = (name: string, text: string, least: number): number => {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= least) return number;
  throw new Error(`--${name} is ${text}; expected a whole number of at least ${least}`);
};

const seeds = seedsOf(values.seed ?? String(randomInt(1, 1_000_000_000)));

function seedsOf(text: string): number[] {
  const [first = 0, ...others] = text.split(",").map((each) => whole("seed", each, 0));
  if (others.length > 0) return [first, ...others];
  return Array.from({ length: whole("schedules", values.schedules, 1) }, (_, index) => first + index);
}

if (values.print) for (const each of seeds) say(`${describeSchedule(generateSchedule(each))}\n`);
else process.exitCode = await run();

async function run(): Promise<number> {
  say(`seeds ${seeds[0]} to ${seeds.at(-1)}`);
  const lines: Line[] = [];
  const waiting = [...seeds];
  const workers: Worker[] = [];
  const end = (signal: NodeJS.Signals): void => {
    say(`stopped by ${signal}`);
    waiting.length = 0;
    for (const worker of workers) worker.stop();
  };
  process.once("SIGINT", end);
  process.once("SIGTERM", end);

  const work = async (): Promise<void> => {
    const worker = startWorker(values.failures);
    workers.push(worker);
    try {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const line = await worker.perform(next);
        lines.push(line);
        await tell(line, lines.length);
      }
    } finally {
      worker.stop();
      await worker.ended;
    }
  };
  const count = Math.min(seeds.length, whole("workers", values.workers, 1));
  const results = await Promise.allSettled(Array.from({ length: count }, work));
  say(`\n${tableOf(lines)}`);
  const broken = results.flatMap((result) => (result.status === "rejected" ? [String(result.reason)] : []));
  for (const problem of broken) say(problem);
  const failed = lines.filter(({ violations }) => violations.length > 0);
  if (failed.length > 0) say(`Violated by the seeds ${failed.map((line) => line.seed).join(", ")}.`);
  return failed.length > 0 || broken.length > 0 || lines.length < seeds.length ? 1 : 0;
}

async function tell(line: Line, done: number): Promise<void> {
  const { counts, violations, seconds } = line;
  say(
    `${String(done).padStart(4)}/${seeds.length}  seed ${line.seed}  ${seconds} s  ${counts.events} events  ` +
      `${counts.requests} requests  ${counts.generations} generations  ${violations.length} violations`,
  );
  for (const { invariant, what } of violations.slice(0, 5)) say(`      ${invariant}: ${what}`);
  if (values.report === undefined) return;
  await mkdir(dirname(values.report), { recursive: true });
  await appendFile(values.report, `${JSON.stringify(line)}\n`);
}

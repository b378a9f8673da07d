/** `docs/performance.md`, made from what was measured. */
import { writeFileSync } from "node:fs";
import { grouped } from "../src/grouped.ts";
import { backlogSeries, growthBars, latencyBars, recoveryBars, throughputBars } from "./bars.ts";
import { bounds, contenders } from "./contenders/index.ts";
import type { Growth } from "./growth.ts";
import type { Repeated } from "./repeat.ts";
import type { Measurement } from "./report.ts";
import type { Result, Results } from "./results.ts";

export const writePage = (results: Results, file: string): void =>
  writeFileSync(file, performancePage(results));

const ALL = [...contenders, ...bounds];

const titleOf = (name: string): string => ALL.find((each) => each.name === name)?.title ?? name;

const thousands = (value: number): string => grouped(Math.round(value));

/** The first column to the left, the others to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, index) => (index === 0 ? "---" : "---:"));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

const barsTable = (measurements: readonly Measurement[]): string =>
  table(
    ["asked of the relay", "measured", "bar", ""],
    measurements.map(({ what, measured, bar, met }) => [what, measured, bar, met ? "met" : "**missed**"]),
  );

const where = ({ machine, date, repetitions }: Result<unknown>): string =>
  `${date}, ${machine}; ${repetitions === 1 ? "one run" : `medians of ${repetitions} runs`}.`;

const rowOf = ([name, figures]: [string, Repeated]): string[] => [
  titleOf(name),
  thousands(figures.eventsPerSecond),
  `${thousands(figures.slowest)} to ${thousands(figures.fastest)}`,
  figures.cpuSecondsPerMillion.toFixed(1),
  thousands(figures.peakMiB),
  figures.startSeconds.toFixed(1),
  figures.settledSeconds.toFixed(1),
];

const FIGURES = ["", "events/s", "of the runs", "CPU s per million", "peak MiB", "start, s", "settled, s"];

function throughput(result: Result<Setting[]>): string {
  const sections = result.measured.map(({ events, batch, latencyMs, figures }) =>
    [
      `### Batches of ${batch}, ${latencyMs === 0 ? "environments that answer at once" : `environments that take ${latencyMs} ms`}`,
      `${thousands(events)} events.`,
      table(FIGURES, Object.entries(figures).map(rowOf)),
    ].join("\n\n"),
  );
  return ["## Throughput", where(result), ...sections, barsTable(throughputBars(result.measured))].join(
    "\n\n",
  );
}
type Setting = NonNullable<Results["throughput"]>["measured"][number];

function latency(result: NonNullable<Results["latency"]>): string {
  const rows = result.measured.flatMap(({ maxWaitMs, figures }) =>
    Object.entries(figures).map(([name, { p50, p99, max }]) => [
      ALL.find((each) => each.name === name)?.waits
        ? `${titleOf(name)}, maxWait ${maxWaitMs} ms`
        : titleOf(name),
      ...[p50, p99, max].map((value) => Math.round(value).toString()),
    ]),
  );
  return [
    "## Latency",
    where(result),
    `100 events/s, one at a time, to six partitions: from the send to Kafka to the answer of the last of three environments, which
answer at once; in milliseconds. An event may wait for others for \`maxWait\`; who has no such thing sends what there is.`,
    table(["", "p50", "p99", "max"], rows),
    barsTable(latencyBars(result.measured)),
  ].join("\n\n");
}

function recovery(result: NonNullable<Results["recovery"]>): string {
  const { sessionTimeoutSeconds, figures } = result.measured;
  return [
    "## Recovery",
    where(result),
    `Two members share six partitions, 100 events/s; one is killed (-9). Seconds until every partition delivers events again that were sent after
the kill. All have a session timeout of ${sessionTimeoutSeconds} s: Kafka gives the partitions to the other when it is over.`,
    table(
      ["", "seconds"],
      Object.entries(figures).map(([name, seconds]) => [titleOf(name), seconds.toFixed(2)]),
    ),
    barsTable(recoveryBars(result.measured)),
  ].join("\n\n");
}

const SERIES: {
  title: string;
  of: (points: readonly Growth[]) => Growth[];
  key: (point: Growth) => number;
}[] = [
  {
    title: "partitions",
    of: (points) => pointsWith(points, { environments: 3, batch: 500 }),
    key: ({ partitions }) => partitions,
  },
  {
    title: "environments",
    of: (points) => pointsWith(points, { partitions: 6, batch: 500 }),
    key: ({ environments }) => environments,
  },
  {
    title: "batch",
    of: (points) => pointsWith(points, { partitions: 6, environments: 3 }),
    key: ({ batch }) => batch,
  },
];

/** Without those of other backlogs, of which the first point has the usual one. */
const pointsWith = (points: readonly Growth[], wanted: Partial<Growth>): Growth[] => {
  const others = new Set(backlogSeries(points).filter((point) => point !== points[0]));
  return points.filter(
    (point) =>
      !others.has(point) &&
      Object.entries(wanted).every(([key, value]) => point[key as keyof Growth] === value),
  );
};

function growth(result: NonNullable<Results["growth"]>): string {
  const points = result.measured;
  const compared = contenders.filter(({ name }) => points[0]?.figures[name] !== undefined);
  const rowsOf = (series: readonly Growth[], key: (point: Growth) => number): string[][] =>
    series
      .toSorted((one, other) => key(one) - key(other))
      .map((point) => [
        thousands(key(point)),
        ...compared.map(({ name }) =>
          point.figures[name] ? thousands(point.figures[name].eventsPerSecond) : "",
        ),
        thousands(point.figures.relay?.peakMiB ?? 0),
      ]);
  const head = (title: string): string[] => [
    title,
    ...compared.map(({ title }) => title),
    "relay's peak MiB",
  ];
  return [
    "## Growth",
    where(result),
    `Events/s. Six partitions, three environments, batches of 500 and a backlog of ${thousands(points[0]?.events ?? 0)} (half of it for ten
environments or batches of 50) unless the table says otherwise.`,
    ...SERIES.map(({ title, of, key }) => table(head(title), rowsOf(of(points), key))),
    table(
      ["backlog", "Optout Relay", "CPU s per million", "peak MiB"],
      backlogSeries(points).map(({ events, figures: { relay } }) => [
        thousands(events),
        thousands(relay?.eventsPerSecond ?? 0),
        (relay?.cpuSecondsPerMillion ?? 0).toFixed(1),
        thousands(relay?.peakMiB ?? 0),
      ]),
    ),
    barsTable(growthBars(points)),
  ].join("\n\n");
}

/** Of a bench that says itself what is asked. */
const asked = (title: string, result: Result<Measurement[]>): string =>
  [`## ${title}`, where(result), barsTable(result.measured)].join("\n\n");

const notMeasured = (name: string): string =>
  `## ${name[0]?.toUpperCase()}${name.slice(1)}\n\nNot measured yet: \`npm run bench -- ${name}\`.`;

const INTRODUCTION = `# Performance

Made by \`npm run bench\` (see [bench/README.md](../bench/README.md)); don't edit. Everything is on one machine: Kafka, the environments, and
what is measured. So ratios within a table mean something, absolute numbers little.

All read the same topic and send to the same environments, one lean process that answers as the compliance API does and counts what
it is given: a run is over when each environment has each event. The numbers are those of the tests, in E.164.

- **Optout Relay**: the command as users run it, a ledger and a status for every event; its defaults but for the batch, maxWait 250 ms and
  a rate that isn't the limit. The others do neither.
- **plain kafkajs loop**: consume, parse, libphonenumber-js, post to one environment after another, commit: what a team would write first.
- **Parallel Consumer**: Confluent's, with its Vert.x client, unordered, 16 batches under way, each to all environments at once, a connection
  for each of their requests. Google's libphonenumber; a heap of 512 MiB and the parallel collector. 4, 8 and 48 batches under way were tried too, with environments
  that answer at once on a busy machine: the processor time differed by no more than between runs. With the default collector, G1, it was mostly higher.
- **Apache Camel**: its Kafka component's own batches (\`batching\`: size or time), a consumer for each partition up to six, each batch by
  \`multicast\` to all environments at once with its HTTP component, offsets committed asynchronously when all have it, retries without end.
  Google's libphonenumber, heap and collector as above. Its clock starts when the last of its consumers has its partitions.
- **bounds**: parts of the work alone. \`consume\` is kafkajs' \`eachBatch\` doing nothing; \`post\` sends prepared bodies by undici.

The clock runs from a process's first partitions to the last answer, so the start of Node or the JVM isn't in it (it has a column of its
own), but code that is still cold is. CPU is the process's own, until everything is committed and published; \`settled\` is how long that takes after the
last answer.`;

const SECTIONS: Record<keyof Results, (results: Results) => string | undefined> = {
  throughput: ({ throughput: result }) => result && throughput(result),
  latency: ({ latency: result }) => result && latency(result),
  recovery: ({ recovery: result }) => result && recovery(result),
  growth: ({ growth: result }) => result && growth(result),
  quota: ({ quota: result }) => result && asked("Quota", result),
  isolation: ({ isolation: result }) => result && asked("Isolation", result),
  trace: ({ trace: result }) => result && asked("Trace", result),
  phone: ({ phone: result }) => result && asked("Phone", result),
};

export function performancePage(results: Results): string {
  const sections = Object.entries(SECTIONS).map(([name, of]) => of(results) ?? notMeasured(name));
  return `${[INTRODUCTION, ...sections].join("\n\n")}\n`;
}

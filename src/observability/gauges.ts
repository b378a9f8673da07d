import { Gauge, type Registry } from "prom-client";
import { CLOSED_MESSAGES } from "../delivery/circuit.ts";
import type { LaneState } from "../delivery/lane.ts";

/** What gauges show, asked for at each scrape so that nothing stale can stay. */
export interface MetricsSource {
  partitions(): readonly PartitionFigures[];
  environments(): readonly EnvironmentFigures[];
  lanes(): readonly LaneFigures[];
}

interface PartitionFigures {
  partition: number;
  committedOffset: number;
  /** Records behind the committed offset; undefined while unknown. */
  lag: number | undefined;
  ledgerUsedRatio: number;
  paused: boolean;
}

interface EnvironmentFigures {
  name: string;
  pendingEntries: number;
  /** Milliseconds since the epoch; undefined when nothing is pending. */
  oldestPendingAt: number | undefined;
}

type LaneFigures = { name: string } & Pick<LaneState, "closure" | "concurrencyLimit" | "requestsPerSecond">;

const CLOSED_REASONS = [...Object.keys(CLOSED_MESSAGES), "paused"];

/** Every gauge of the relay but the build's. */
export function addGauges(registry: Registry, source: () => MetricsSource): void {
  addPartitionGauges(registry, () => source().partitions());
  addEnvironmentGauges(registry, () => source().environments());
  addLaneGauges(registry, () => source().lanes());
}

type Sample = readonly [labels: Record<string, string>, value: number];

const gauge = (
  registry: Registry,
  name: string,
  help: string,
  labelNames: string[],
  samples: () => readonly Sample[],
): void =>
  void new Gauge({
    name: `optout_${name}`,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, value] of samples()) this.set(labels, value);
    },
  });

/** What adds a gauge with a value for each environment. */
const gaugesOf =
  <Figures extends { name: string }>(registry: Registry, environments: () => readonly Figures[]) =>
  (name: string, help: string, read: (figures: Figures) => number): void =>
    gauge(registry, `environment_${name}`, help, ["environment"], () =>
      environments().map((figures) => [{ environment: figures.name }, read(figures)]),
    );

function addPartitionGauges(registry: Registry, partitions: MetricsSource["partitions"]): void {
  const ofEach = (name: string, help: string, read: (figures: PartitionFigures) => number | undefined) =>
    gauge(registry, name, help, ["partition"], () =>
      partitions().flatMap((figures): Sample[] => {
        const value = read(figures);
        return value === undefined ? [] : [[{ partition: String(figures.partition) }, value]];
      }),
    );
  ofEach(
    "ledger_used_ratio",
    "Share, 0 to 1, of the room for sealed batches in the offset commit's metadata that is taken, of a partition this replica owns; at 1 no batch is sealed until one is settled.",
    ({ ledgerUsedRatio }) => ledgerUsedRatio,
  );
  ofEach(
    "committed_offset",
    "Committed offset of a partition this replica owns; every event before it is settled. Goes when the partition goes to another replica.",
    ({ committedOffset }) => committedOffset,
  );
  ofEach(
    "consumer_lag",
    "Offsets between the committed offset and the end of a partition this replica owns.",
    ({ lag }) => lag,
  );
  ofEach(
    "partition_paused",
    "1 while reading a partition this replica owns is paused because too much of it is unsettled or a schema is awaited, else 0.",
    ({ paused }) => Number(paused),
  );
}

function addEnvironmentGauges(registry: Registry, environments: MetricsSource["environments"]): void {
  const ofEach = gaugesOf(registry, environments);
  ofEach(
    "pending_entries",
    "Entries (phones, each once in a batch) that this replica has read from Kafka and this environment hasn't acknowledged yet. A batch counts whole until the last of its entries is answered; what isn't read yet is in optout_consumer_lag.",
    ({ pendingEntries }) => pendingEntries,
  );
  ofEach(
    "oldest_pending_timestamp_seconds",
    "Unix time at which the person of the oldest opt-out asked that this replica has read and this environment hasn't acknowledged yet; 0 when nothing is pending.",
    ({ oldestPendingAt }) => seconds(oldestPendingAt),
  );
}

function addLaneGauges(registry: Registry, lanes: MetricsSource["lanes"]): void {
  const ofEach = gaugesOf(registry, lanes);
  ofEach(
    "lane_open",
    "1 while requests to this environment may start, 0 while its lane, which sends them, is closed (outage, Retry-After, refused credentials, paused).",
    ({ closure }) => Number(closure === null),
  );
  gauge(
    registry,
    "environment_lane_closed",
    "1 for the reason that nothing is sent to this environment for now, 0 for all other reasons.",
    ["environment", "reason"],
    () =>
      lanes().flatMap(({ name, closure }) =>
        CLOSED_REASONS.map(
          (reason): Sample => [{ environment: name, reason }, Number(closure?.reason === reason)],
        ),
      ),
  );
  ofEach(
    "lane_closed_since_timestamp_seconds",
    "Unix time since which this environment's lane is closed; 0 while it is open.",
    ({ closure }) => seconds(closure?.since),
  );
  ofEach(
    "lane_closed_until_timestamp_seconds",
    "Unix time at which this environment is tried again; 0 while its lane is open, and while it is paused.",
    ({ closure }) => seconds(closure?.until),
  );
  ofEach(
    "concurrency_limit",
    "Requests to this environment that this replica may have under way, as adapted to the answers; while its lane is open.",
    ({ concurrencyLimit }) => concurrencyLimit,
  );
  ofEach(
    "requests_per_second",
    "Requests per second that this replica may start to this environment: its share of the quota, or less if it is answered 429.",
    ({ requestsPerSecond }) => requestsPerSecond,
  );
}

/** Of milliseconds; 0 for no time. */
const seconds = (milliseconds: number | null | undefined): number => (milliseconds ?? 0) / 1000;

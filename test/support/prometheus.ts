import assert from "node:assert/strict";

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Family {
  help: string;
  type: string;
  samples: Sample[];
}

export interface Exposition {
  families: ReadonlyMap<string, Family>;
  /** The one sample with exactly these labels; fails if there is none. */
  value(name: string, labels?: Record<string, string>): number;
  /** All samples of that name, summed up. */
  sum(name: string): number;
}

/** Every metric of the product, with its type and its labels; for histograms without `le`. */
export const CONTRACT: Record<string, { type: string; labels: string[] }> = {
  optout_events_consumed_total: { type: "counter", labels: ["partition"] },
  optout_events_completed_total: { type: "counter", labels: ["outcome"] },
  optout_events_rejected_total: { type: "counter", labels: ["reason"] },
  optout_batches_sealed_total: { type: "counter", labels: ["trigger"] },
  optout_batch_entries: { type: "histogram", labels: [] },
  optout_delivery_attempts_total: { type: "counter", labels: ["environment", "outcome"] },
  optout_delivery_seconds: { type: "histogram", labels: ["environment"] },
  optout_end_to_end_seconds: { type: "histogram", labels: [] },
  optout_environment_pending_entries: { type: "gauge", labels: ["environment"] },
  optout_environment_oldest_pending_timestamp_seconds: { type: "gauge", labels: ["environment"] },
  optout_environment_lane_open: { type: "gauge", labels: ["environment"] },
  optout_environment_lane_closed: { type: "gauge", labels: ["environment", "reason"] },
  optout_environment_lane_closed_since_timestamp_seconds: { type: "gauge", labels: ["environment"] },
  optout_environment_lane_closed_until_timestamp_seconds: { type: "gauge", labels: ["environment"] },
  optout_environment_concurrency_limit: { type: "gauge", labels: ["environment"] },
  optout_environment_requests_per_second: { type: "gauge", labels: ["environment"] },
  optout_rate_limit_wait_seconds: { type: "histogram", labels: ["environment"] },
  optout_token_refreshes_total: { type: "counter", labels: ["environment", "outcome"] },
  optout_ledger_used_ratio: { type: "gauge", labels: ["partition"] },
  optout_offset_commits_total: { type: "counter", labels: ["outcome"] },
  optout_committed_offset: { type: "gauge", labels: ["partition"] },
  optout_consumer_lag: { type: "gauge", labels: ["partition"] },
  optout_partition_paused: { type: "gauge", labels: ["partition"] },
  optout_offsets_lost_total: { type: "counter", labels: [] },
  optout_status_publish_failures_total: { type: "counter", labels: [] },
  optout_build_info: { type: "gauge", labels: ["version", "node"] },
};

// Prometheus reads numbers with Go's ParseFloat, to which "Nan", as prom-client writes it, is as good as "NaN".
const SAMPLE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (Na[nN]|[+-]Inf|[-+]?[0-9.]+(?:e[-+]?\d+)?)(?: \d+)?$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;
const COMMENT = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/;

function parseLabels(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const at = LABEL.lastIndex;
    const match = LABEL.exec(text);
    assert.ok(match, `labels not understood at ${at}: ${line}`);
    labels[match[1] ?? ""] = match[2] ?? "";
  }
  return labels;
}

const numberOf = (text: string): number => Number(text.replace("Inf", "Infinity"));
const isOf = (sample: string, family: string, type: string): boolean =>
  sample === family || (type === "histogram" && /^_(bucket|sum|count)$/.test(sample.slice(family.length)));

/**
 * Reads the text format (https://prometheus.io/docs/instrumenting/exposition_formats/), and fails for what isn't:
 * unknown lines, a sample outside its family, two of the same labels, a family without HELP or TYPE.
 */
export function parseExposition(text: string): Exposition {
  assert.ok(text.endsWith("\n"), "the last line must end");
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let current: (Family & { name: string }) | undefined;
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const comment = COMMENT.exec(line);
    if (comment !== null) {
      const [, kind, name = "", rest = ""] = comment;
      if (current?.name !== name) {
        assert.ok(!families.has(name), `${name} comes twice`);
        current = { name, help: "", type: "", samples: [] };
        families.set(name, current);
      }
      if (kind === "HELP") current.help = rest;
      else current.type = rest;
      continue;
    }
    const match = SAMPLE.exec(line);
    assert.ok(match, `not a line of the text format: ${line}`);
    const [, name = "", labels = "", value = ""] = match;
    assert.ok(current && isOf(name, current.name, current.type), `outside its family: ${line}`);
    const id = `${name}{${labels}}`;
    assert.ok(!seen.has(id), `two samples of ${id}`);
    seen.add(id);
    current.samples.push({ name, labels: parseLabels(labels, line), value: numberOf(value) });
  }
  for (const [name, { help, type }] of families) {
    assert.ok(help !== "" && type !== "", `${name} lacks HELP or TYPE`);
  }
  return lookup(families);
}

function lookup(families: ReadonlyMap<string, Family>): Exposition {
  const samples = (name: string): Sample[] =>
    [...families.values()].flatMap((family) => family.samples.filter((sample) => sample.name === name));
  return {
    families,
    value(name, labels = {}) {
      const wanted = Object.entries(labels);
      const [found, ...others] = samples(name).filter(
        (sample) =>
          wanted.length === Object.keys(sample.labels).length &&
          wanted.every(([key, value]) => sample.labels[key] === value),
      );
      assert.ok(found && others.length === 0, `no sample ${name} ${JSON.stringify(labels)}`);
      return found.value;
    },
    sum: (name) => samples(name).reduce((sum, { value }) => sum + value, 0),
  };
}

export interface Exemplar {
  /** The bucket that it stands at. */
  sample: Sample;
  labels: Record<string, string>;
  value: number;
}

export interface OpenMetrics {
  /** Under the names of the text format. */
  exposition: Exposition;
  exemplars: Exemplar[];
}

const EXEMPLAR = / # \{([^}]*)\} (\S+) \d+(?:\.\d+)?$/;

/**
 * Reads OpenMetrics (https://prometheus.io/docs/specs/om/open_metrics_spec/), as far as it differs from the text format:
 * the end is marked, a counter's family lacks `_total`, and buckets may have exemplars.
 */
export function parseOpenMetrics(text: string): OpenMetrics {
  assert.match(text, /\n# EOF\n$/);
  const lines = text.replace(/# EOF\n$/, "").split("\n");
  const counters = new Set(lines.flatMap((line) => /^# TYPE (\S+) counter$/.exec(line)?.[1] ?? []));
  const exemplars: Exemplar[] = [];
  const plain = lines.map((line) => {
    const [, kind, name = ""] = COMMENT.exec(line) ?? [];
    if (kind !== undefined) return counters.has(name) ? line.replace(name, `${name}_total`) : line;
    const [found, labels = "", value] = EXEMPLAR.exec(line) ?? [];
    if (found === undefined) return line;
    const bucket = line.slice(0, -found.length);
    const [, sampled = "", own = "", count] = SAMPLE.exec(bucket) ?? [];
    assert.ok(sampled.endsWith("_bucket"), `an exemplar at no bucket: ${line}`);
    const sample = { name: sampled, labels: parseLabels(own, line), value: Number(count) };
    exemplars.push({ sample, labels: parseLabels(labels, line), value: Number(value) });
    return bucket;
  });
  return { exposition: parseExposition(plain.join("\n")), exemplars };
}

/** Every metric of the contract is there, with its type, an explanation and no label but its own. */
export function assertContract({ families }: Exposition): void {
  for (const [name, { type, labels }] of Object.entries(CONTRACT)) {
    const family = families.get(name);
    assert.ok(family, `${name} is missing`);
    assert.equal(family.type, type, name);
    for (const sample of family.samples) {
      const own = Object.keys(sample.labels).filter((label) => label !== "le");
      assert.deepEqual(own.sort(), [...labels].sort(), `labels of ${name}`);
    }
  }
  const others = [...families.keys()].filter((name) => name.startsWith("optout_") && !(name in CONTRACT));
  assert.deepEqual(others, ["optout_ledgers_discarded_total"], "metrics beyond the contract");
  assert.ok(families.has("process_cpu_seconds_total") && families.has("nodejs_eventloop_lag_seconds"));
}

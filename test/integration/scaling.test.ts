import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { stringify } from "yaml";
import { documentsOf, scaledObject } from "../support/kubernetes.ts";

const { spec } = scaledObject.parse(documentsOf("components/keda/scaled-object.yaml")[0]);

interface Situation {
  /** Of the environment us-west; production has a quota of 100 a second and, if not said otherwise, nothing to do. */
  attemptsPerSecond: number;
  pending: number;
  open?: boolean;
  /** Seconds for which the oldest opt-out has waited after ten minutes. */
  age: number;
}

/** What the triggers' queries give after ten minutes of that, in promtool's own evaluation. */
function assertScale(situation: Situation, wanted: { lag: number; "oldest-age": number }): void {
  const { attemptsPerSecond, pending, open = true, age } = situation;
  const series = (name: string, labels: string, values: string) => ({
    series: `${name}{job="optout-relay",instance="a"${labels && `,${labels}`}}`,
    values,
  });
  const of = (environment: string, rate: number, waiting: number, isOpen: boolean, oldest: number) => [
    series(
      "optout_delivery_attempts_total",
      `environment="${environment}",outcome="acknowledged"`,
      `0+${rate * 60}x10`,
    ),
    series("optout_environment_requests_per_second", `environment="${environment}"`, "100x10"),
    series("optout_environment_pending_entries", `environment="${environment}"`, `${waiting}x10`),
    series("optout_environment_lane_open", `environment="${environment}"`, `${Number(isOpen)}x10`),
    series(
      "optout_environment_oldest_pending_timestamp_seconds",
      `environment="${environment}"`,
      `${oldest}x10`,
    ),
  ];
  const folder = mkdtempSync(join(tmpdir(), "optout-scaling-"));
  try {
    const file = join(folder, "scaling.yaml");
    const tests = {
      rule_files: [],
      tests: [
        {
          interval: "1m",
          input_series: [
            series("optout_consumer_lag", 'partition="0"', "30000x10"),
            series("optout_consumer_lag", 'partition="1"', "20000x10"),
            ...of("production", 0, 0, true, 0),
            ...of("us-west", attemptsPerSecond, pending, open, 600 - age),
          ],
          promql_expr_test: spec.triggers.map(({ name, metadata }) => ({
            expr: metadata.query,
            eval_time: "10m",
            exp_samples: [{ labels: "{}", value: wanted[name === "lag" ? "lag" : "oldest-age"] }],
          })),
        },
      ],
    };
    writeFileSync(file, stringify(tests));
    const promtool = spawnSync("promtool", ["test", "rules", file], { encoding: "utf8" });
    if (promtool.error !== undefined) {
      throw new Error("This test needs promtool: `apt-get install prometheus`.", { cause: promtool.error });
    }
    assert.equal(promtool.status, 0, promtool.stdout + promtool.stderr);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("more replicas are started for a backlog", () => {
  test("while an environment with work gets less than it would take", () => {
    assertScale({ attemptsPerSecond: 40, pending: 5_000, age: 300 }, { lag: 50_000, "oldest-age": 300 });
  });

  test("but not while the quota is what limits it, which they would share", () => {
    assertScale({ attemptsPerSecond: 95, pending: 5_000, age: 300 }, { lag: 0, "oldest-age": 0 });
  });

  test("nor while the environment is down", () => {
    assertScale(
      { attemptsPerSecond: 1, pending: 50_000, open: false, age: 300 },
      { lag: 0, "oldest-age": 0 },
    );
  });

  test("nor if hardly anything waits", () => {
    assertScale({ attemptsPerSecond: 2, pending: 40, age: 8 }, { lag: 0, "oldest-age": 0 });
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { CLOSED_MESSAGES } from "../../src/delivery/circuit.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { allSamples } from "../support/all-metrics.ts";
import { dashboard, dashboardQueries, type Panel } from "../support/dashboard.ts";

/** Prometheus makes these itself. */
const OF_PROMETHEUS = ["up"];
/** Labels that a scrape adds. */
const OF_SCRAPES = ["job", "instance", "le"];

const { panels, templating } = dashboard;
const queries = [
  ...dashboardQueries,
  ...templating.list.flatMap(({ name, query }) => {
    const text = typeof query === "string" ? query : query.query;
    const [, selector] = /^label_values\((.+), \w+\)$/.exec(text) ?? [];
    return selector === undefined ? [] : [{ where: `variable ${name}`, query: selector }];
  }),
];

const recorded = new Set(
  (
    parse(readPackageFile("deploy/prometheus/rules.yaml")) as { groups: { rules: { record?: string }[] }[] }
  ).groups.flatMap(({ rules }) => rules.flatMap(({ record }) => record ?? [])),
);

const METRIC = /(?<![\w:$"])(?:(?:optout|process|nodejs)_\w+|job(?:_environment)?:[\w:]+|up(?=\{))/g;

describe("the dashboard", () => {
  test("asks for nothing but metrics that exist, by labels that they have", async () => {
    const samples = await allSamples();
    const labelsOf = (name: string) =>
      new Set(samples.filter((each) => each.name === name).flatMap(({ labels }) => Object.keys(labels)));
    const names = new Set([...samples.map(({ name }) => name), ...recorded, ...OF_PROMETHEUS]);
    let labelsSeen = 0;
    for (const { where, query } of queries) {
      const asked = query.match(METRIC) ?? [];
      assert.ok(asked.length > 0, `${where}: ${query}`);
      for (const name of asked) assert.ok(names.has(name), `${where}: there is no ${name}`);
      for (const [, name = "", matchers = ""] of query.matchAll(
        /(?<![\w:])((?:optout|process|nodejs)_\w+)\{([^}]*)\}/g,
      )) {
        for (const [, label = ""] of matchers.matchAll(/(\w+)(?:=~|!=|=)"/g)) {
          assert.ok(
            OF_SCRAPES.includes(label) || labelsOf(name).has(label),
            `${where}: ${name} has no label ${label}`,
          );
          labelsSeen++;
        }
      }
    }
    assert.ok(labelsSeen > 50, "the pattern finds labels");
  });

  test("shows every metric of the relay that an operator acts on", async () => {
    const text = queries.map(({ query }) => query).join("\n");
    const families = new Set(
      (await allSamples()).map(({ name }) => name.replace(/_(bucket|sum|count)$/, "")),
    );
    const missing = [...families].filter((name) => name.startsWith("optout_") && !text.includes(name));
    assert.deepEqual(
      missing.sort(),
      [
        // Through the recorded age.
        "optout_environment_oldest_pending_timestamp_seconds",
        // In /state and the log: when it will be tried again.
        "optout_environment_lane_closed_until_timestamp_seconds",
        // Of no use without a fault that the other panels show.
        "optout_gateway_connections_dropped_total",
        "optout_gateway_records_in_flight",
        "optout_gateway_repeats_total",
        "optout_gateway_request_seconds",
        // Offsets say nothing by themselves; the lag does.
        "optout_committed_offset",
      ].sort(),
    );
  });

  test("uses no variable that it doesn't have, and has none that it doesn't use", () => {
    const used = new Set(
      [...JSON.stringify(dashboard).matchAll(/\$\{?(\w+)/g)]
        .map(([, name]) => String(name))
        .filter((name) => !name.startsWith("__")),
    );
    assert.deepEqual([...used].sort(), templating.list.map(({ name }) => name).sort());
  });

  test("gives each panel a number, a place of its own, and words that say what it shows", () => {
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const overlap = (a: Panel["gridPos"], b: Panel["gridPos"]) =>
      a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
    panels.forEach((panel, index) => {
      assert.ok(panel.gridPos.x + panel.gridPos.w <= 24, panel.title);
      for (const other of panels.slice(index + 1)) {
        assert.equal(overlap(panel.gridPos, other.gridPos), false, `${panel.title} and ${other.title}`);
      }
      if (panel.type === "row") return;
      assert.ok((panel.description ?? "").length > 20, `${panel.title} has no description`);
      if (panel.type !== "alertlist")
        assert.ok(panel.fieldConfig?.defaults.unit, `${panel.title} has no unit`);
      if (panel.type !== "alertlist") assert.ok(panel.targets.length > 0, panel.title);
    });
  });

  test("says what to do for each reason that closes a lane", () => {
    const [table] = panels.filter(({ title }) => title === "Environments that take nothing");
    const text = JSON.stringify(table?.fieldConfig?.overrides);
    for (const reason of [...Object.keys(CLOSED_MESSAGES), "paused"])
      assert.ok(text.includes(`"${reason}":{"text":"${reason}`), reason);
  });

  test("is found by the provisioning, and by the data source's name there", () => {
    const { providers } = parse(
      readPackageFile("deploy/grafana/provisioning/dashboards/optout-relay.yml"),
    ) as { providers: { options: { path: string } }[] };
    const compose = readPackageFile("docker-compose.yml");
    assert.ok(compose.includes(`./deploy/grafana/dashboards:${providers[0]?.options.path}:ro`));
    const { datasources } = parse(
      readPackageFile("deploy/grafana/provisioning/datasources/prometheus.yml"),
    ) as { datasources: { uid: string; type: string }[] };
    assert.deepEqual(
      datasources.map(({ uid, type }) => ({ uid, type })),
      [{ uid: "prometheus", type: "prometheus" }],
    );
    assert.match(
      readPackageFile("deploy/grafana/dashboards/optout-relay.json"),
      /"current": \{ ?"text": "Prometheus", "value": "prometheus" ?\}|"current": \{\s+"text": "Prometheus",\s+"value": "prometheus"/,
    );
  });
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { CLOSED_MESSAGES } from "../../src/delivery/circuit.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { allSamples } from "../support/all-metrics.ts";

const FOLDER = "deploy/prometheus";
const TEST_FILES = ["freshness", "slowly", "environments", "rejections", "relay", "gateway"];
const CASES = ["firing", "not firing", "counter reset", "absent series"];

const recording = z.strictObject({ record: z.string(), expr: z.string() });
const alert = z.strictObject({
  alert: z.string(),
  expr: z.string(),
  for: z.string().optional(),
  labels: z.strictObject({ severity: z.enum(["critical", "warning"]) }),
  annotations: z.strictObject({ summary: z.string(), description: z.string(), runbook_url: z.string() }),
});
const rulesFile = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), rules: z.array(z.union([alert, recording])) })),
});
const testFile = z.object({
  rule_files: z.tuple([z.literal("../rules.yaml")]),
  tests: z.array(
    z.object({
      name: z.string(),
      alert_rule_test: z.tuple([
        z.object({ alertname: z.string(), exp_alerts: z.array(z.record(z.string(), z.unknown())) }),
      ]),
    }),
  ),
});

const read = (path: string): unknown => parse(readPackageFile(`${FOLDER}/${path}`));
const rules = rulesFile.parse(read("rules.yaml")).groups.flatMap((group) => group.rules);
const alerts = rules.filter((rule) => "alert" in rule);
const recorded = rules.filter((rule) => "record" in rule).map(({ record }) => record);
const runbook = readPackageFile("docs/runbook.md");

/** All that rules ask Prometheus: their expressions, and the queries in their texts. */
const queries = rules.flatMap((rule) =>
  "alert" in rule ? [rule.expr, rule.annotations.description, rule.annotations.summary] : [rule.expr],
);

test("every metric that a rule or its text asks for exists", async () => {
  const names = new Set((await allSamples()).map((sample) => sample.name));
  const asked = queries.flatMap((query) => query.match(/(?<![\w:])optout_\w+/g) ?? []);
  assert.ok(asked.length > 30, "the pattern finds metrics");
  assert.deepEqual(
    asked.filter((name) => !names.has(name)),
    [],
  );
});

test("every recorded series that a rule uses is recorded, and every one recorded is used", () => {
  const used = queries.flatMap((query) => query.match(/\bjob(?:_environment)?:[\w:]+/g) ?? []);
  assert.deepEqual([...new Set(used)].sort(), [...recorded].sort());
});

test("every label value that a rule names is one that its metric has", async () => {
  const samples = await allSamples();
  let seen = 0;
  for (const query of queries) {
    for (const [, name = "", matchers = ""] of query.matchAll(/(?<![\w:])(optout_\w+)\{([^}]*)\}/g)) {
      for (const [, label = "", value = ""] of matchers.matchAll(/(\w+)(?:=~|!=|=)"([^"]*)"/g)) {
        const has = samples.flatMap((sample) => (sample.name === name ? (sample.labels[label] ?? []) : []));
        const parts = value.replace(String.raw`(\\.0)?`, "").split("|");
        for (const part of parts) {
          // Of a status class one is enough: they are counted as they come.
          const found = part === "5.." ? has.some((each) => /^5..$/.test(each)) : has.includes(part);
          assert.ok(found, `${name} has no ${label}="${part}"`);
          seen++;
        }
      }
    }
  }
  assert.ok(seen > 20, "the pattern finds values");
});

test("whatever closes a lane, exactly one alert is for it", () => {
  const reasons = alerts.flatMap(({ expr }) => {
    const [, value] = /optout_environment_lane_closed\{reason=~?"([^"]+)"\}/.exec(expr) ?? [];
    return value?.split("|") ?? [];
  });
  assert.deepEqual(reasons.sort(), [...Object.keys(CLOSED_MESSAGES), "paused"].sort());
});

test("every alert about environments names the environment", () => {
  const about = alerts.filter(({ expr }) => /by \([^)]*\benvironment\b|job_environment:/.test(expr));
  assert.equal(about.length, 6);
  for (const { alert: name, annotations } of about) {
    assert.match(annotations.summary, /\{\{ \$labels\.environment \}\}/, name);
    assert.match(annotations.description, /\{\{ \$labels\.environment \}\}/, name);
  }
});

test("every alert has a section of the runbook, of the same severity, and every section an alert", () => {
  const sections = runbook
    .split(/^(?=##)/m)
    .flatMap((text) => [...text.matchAll(/^### (\w+)\n\n\*\*Means\*\* \((critical|warning)\)([\s\S]*)/g)]);
  assert.deepEqual(
    sections.map(([, name, severity]) => ({ name, severity })),
    alerts.map(({ alert: name, labels }) => ({ name, severity: labels.severity })),
  );
  assert.equal(sections.length, [...runbook.matchAll(/^### /gm)].length);
  for (const [, name = "", , text = ""] of sections) {
    for (const part of ["**Look at**", "**Do**"]) {
      assert.ok(text.includes(part) || text.includes("**do**"), `${name} lacks ${part}`);
    }
  }
  for (const { alert: name, annotations } of alerts) {
    assert.equal(annotations.runbook_url, `docs/runbook.md#${name.toLowerCase()}`);
  }
});

test("links within the runbook lead somewhere", () => {
  const anchors = new Set([...runbook.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) => title.toLowerCase()));
  for (const [, target = ""] of runbook.matchAll(/\]\(#([^)]+)\)/g)) assert.ok(anchors.has(target), target);
});

test("every alert is tested firing, not firing, over a counter reset and without its series", () => {
  const tested = new Map<string, Set<string>>();
  for (const file of TEST_FILES) {
    for (const each of testFile.parse(read(`tests/${file}.yaml`)).tests) {
      const [{ alertname, exp_alerts: expected }] = each.alert_rule_test;
      const [, of, kind = ""] = /^(\w+), ([a-z ]+)(?::|$)/.exec(each.name) ?? [];
      assert.equal(of, alertname, each.name);
      if (kind === "firing") assert.ok(expected.length > 0, each.name);
      if (kind === "not firing") assert.deepEqual(expected, [], each.name);
      tested.set(alertname, (tested.get(alertname) ?? new Set()).add(kind));
    }
  }
  assert.deepEqual(
    Object.fromEntries([...tested].map(([name, kinds]) => [name, [...kinds].sort()])),
    Object.fromEntries(alerts.map(({ alert: name }) => [name, [...CASES].sort()])),
  );
});

test("Prometheus loads the rules, and scrapes the jobs that they ask for", () => {
  const config = z
    .object({ rule_files: z.array(z.string()), scrape_configs: z.array(z.object({ job_name: z.string() })) })
    .parse(read("prometheus.yml"));
  assert.deepEqual(config.rule_files, ["rules.yaml"]);
  const jobs = queries.flatMap((query) =>
    [...query.matchAll(/up\{job=~?"([^"]+)"/g)].flatMap(([, value = ""]) => value.split("|")),
  );
  assert.deepEqual([...new Set(jobs)].sort(), config.scrape_configs.map(({ job_name }) => job_name).sort());
});

test("the runbook's command, and the same one in the rules, makes every runbook_url a link and changes nothing else", async () => {
  const [, command = ""] = /^(sed .+)$/m.exec(runbook) ?? [];
  const [, base = ""] = /(https:[^|]+\/)\|/.exec(command) ?? [];
  assert.ok(base.length > 0, "it names a base");
  const text = readPackageFile(`${FOLDER}/rules.yaml`);
  assert.ok(text.includes(`\n# ${command}\n`), "the rules' introduction has it too");
  const folder = await mkdtemp(join(tmpdir(), "optout-rules-"));
  try {
    await mkdir(join(folder, FOLDER), { recursive: true });
    await writeFile(join(folder, FOLDER, "rules.yaml"), text);
    execFileSync("sh", ["-euc", command], { cwd: folder });
    const changed = await readFile(join(folder, "rules.yaml"), "utf8");
    const linked = rulesFile.parse(parse(changed)).groups.flatMap((group) => group.rules);
    const urls = linked.flatMap((rule) => ("alert" in rule ? [rule.annotations.runbook_url] : []));
    assert.deepEqual(
      urls,
      alerts.map(({ annotations }) => base + annotations.runbook_url),
    );
    assert.ok(urls.every((url) => URL.canParse(url)));
    assert.equal(changed.replaceAll(`"${base}`, '"'), text);
  } finally {
    await rm(folder, { recursive: true });
  }
});

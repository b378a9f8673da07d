import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { topicsCommand } from "../../src/commands/topics.ts";
import { loadConfig } from "../../src/config/load.ts";
import { CLOSE_DEADLINE_MS } from "../../src/gateway/gateway.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { STOP_WITHIN_MS } from "../../src/relay/relay.ts";
import { allSamples } from "../support/all-metrics.ts";
import {
  documentsOf,
  filesOf,
  KUBERNETES,
  kustomization,
  manifests,
  monitor,
  renderExample,
  scaledObject,
  workload,
} from "../support/kubernetes.ts";

const FOLDERS = ["base", "components/prometheus-operator", "components/keda", "example"];
const SECRETS = "/etc/optout-relay/secrets";
const relay = workload.parse(manifests.get("Deployment/optout-relay"));
const gateway = workload.parse(manifests.get("Deployment/optout-gateway"));

const labelsOf = ({ spec }: typeof relay): Record<string, string> => spec.template.metadata.labels;

/** What a selector picks of the two deployments' pods. */
const picked = (matchLabels: Record<string, string>): string[] =>
  [relay, gateway]
    .filter((each) => Object.entries(matchLabels).every(([key, value]) => labelsOf(each)[key] === value))
    .map(({ metadata }) => metadata.name);

const selection = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    selector: z.unknown().optional(),
    podSelector: z.unknown().optional(),
  }),
});
const matchLabels = z.union([
  z.strictObject({ matchLabels: z.record(z.string(), z.string()) }).transform((value) => value.matchLabels),
  z.record(z.string(), z.string()),
]);

const configMap = z.object({
  kind: z.literal("ConfigMap"),
  metadata: z.object({ name: z.string() }),
  data: z.record(z.string(), z.string()),
});
const volume = z.object({ configMap: z.object({ name: z.string() }).optional() });
const mounting = z.object({
  kind: z.literal("Deployment"),
  spec: z.object({ template: z.object({ spec: z.object({ volumes: z.array(volume) }) }) }),
});

describe("the Kubernetes manifests", () => {
  test("are all named by a kustomization, and no other files are", () => {
    for (const folder of FOLDERS) {
      const { resources, configMapGenerator = [] } = kustomization.parse(
        documentsOf(`${folder}/kustomization.yaml`)[0],
      );
      const named = [...resources, ...configMapGenerator.flatMap(({ files }) => files)];
      const local = named.filter((name) => !name.startsWith("../"));
      assert.deepEqual(
        [...local, "kustomization.yaml"].sort(),
        filesOf(folder),
        `deploy/kubernetes/${folder}`,
      );
    }
  });

  for (const { name, config, deployment } of [
    { name: "relay", config: "relay.config.yaml", deployment: relay },
    { name: "gateway", config: "gateway.config.yaml", deployment: gateway },
  ]) {
    test(`give the ${name} a configuration that it accepts, with every secret in a file`, () => {
      const [container] = deployment.spec.template.spec.containers;
      assert.deepEqual(container.args, [name, "--config", `/etc/optout-relay/config/${config}`]);
      for (const folder of ["base", "example"]) {
        const text = readPackageFile(`${KUBERNETES}/${folder}/${config}`);
        const files = [...text.matchAll(/\$\{file:([^}]+)\}/g)].map(([, file = ""]) => file);
        assert.ok(files.length > 2 && files.every((file) => file.startsWith(`${SECRETS}/`)), String(files));
        const temporary = mkdtempSync(join(tmpdir(), "optout-kubernetes-"));
        try {
          for (const file of files) writeFileSync(file.replace(SECRETS, temporary), "a-secret\n");
          writeFileSync(join(temporary, config), text.replaceAll(SECRETS, temporary));
          const loaded = loadConfig({ file: join(temporary, config), env: {} });
          const { host, port } = name === "relay" ? loaded.server : loaded.gateway;
          assert.deepEqual({ host, port }, { host: "0.0.0.0", port: container.ports[0].containerPort });
        } finally {
          rmSync(temporary, { recursive: true });
        }
      }
    });
  }

  test("take a configuration from the overlay, in place of the base's", (context) => {
    const files = { "relay.config.yaml": "mine: relay\n", "gateway.config.yaml": "mine: gateway\n" };
    const rendered = renderExample(files);
    if (rendered === undefined) return context.skip("kubectl is not here");
    const found = rendered.flatMap((document) => configMap.safeParse(document).data ?? []);
    assert.deepEqual(Object.assign({}, ...found.map(({ data }) => data)), files);
    const mounted = rendered.flatMap((document) => mounting.safeParse(document).data ?? []);
    const names = mounted.flatMap(({ spec }) =>
      spec.template.spec.volumes.flatMap((each) => each.configMap?.name ?? []),
    );
    assert.deepEqual(names.sort(), found.map(({ metadata }) => metadata.name).sort());
  });

  test("wait for longer than a process needs to end in order", () => {
    const graceOf = ({ spec }: typeof relay) => spec.template.spec.terminationGracePeriodSeconds * 1_000;
    const pause = gateway.spec.template.spec.containers[0].lifecycle?.preStop.exec.command;
    assert.deepEqual(pause, ["sleep", "5"]);
    assert.ok(graceOf(relay) > STOP_WITHIN_MS + 10_000);
    assert.ok(graceOf(gateway) > 5_000 + CLOSE_DEADLINE_MS + 10_000);
  });

  test("let no pod be more than an unprivileged user who writes nowhere", () => {
    for (const { spec } of [relay, gateway]) {
      const { securityContext, containers, automountServiceAccountToken } = spec.template.spec;
      assert.equal(automountServiceAccountToken, false);
      assert.equal(securityContext.runAsNonRoot, true);
      assert.deepEqual(securityContext.seccompProfile, { type: "RuntimeDefault" });
      assert.deepEqual(containers[0].securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
    }
  });

  test("select the pods of the deployment whose name they have", () => {
    let seen = 0;
    for (const [id, document] of manifests) {
      const { metadata, spec } = selection.safeParse(document).data ?? {};
      const selector = spec?.podSelector ?? spec?.selector;
      if (selector === undefined) continue;
      assert.deepEqual(picked(matchLabels.parse(selector)), [metadata?.name], id);
      seen++;
    }
    assert.equal(seen, 8, "deployments, services, budgets and policies");
  });

  test("keep a pod running while nodes are drained", () => {
    for (const { metadata, spec } of [relay, gateway]) {
      const budget = z
        .object({ spec: z.object({ maxUnavailable: z.literal(1) }) })
        .safeParse(manifests.get(`PodDisruptionBudget/${metadata.name}`));
      assert.ok(budget.success && spec.replicas > 1, metadata.name);
    }
  });
});

describe("the manifests for the Prometheus operator", () => {
  test("have the alert rules of deploy/prometheus (OPTOUT_TEST_UPDATE=1 writes them anew)", () => {
    const path = `${KUBERNETES}/components/prometheus-operator/prometheus-rule.yaml`;
    const rules: unknown = parse(readPackageFile("deploy/prometheus/rules.yaml"));
    const wanted = {
      apiVersion: "monitoring.coreos.com/v1",
      kind: "PrometheusRule",
      metadata: { name: "optout-relay" },
      spec: rules,
    };
    if (process.env.OPTOUT_TEST_UPDATE) {
      const head =
        "# Made from deploy/prometheus/rules.yaml: change it there, then OPTOUT_TEST_UPDATE=1 npm test -- kubernetes\n";
      writeFileSync(path, head + stringify(wanted, { lineWidth: 120 }));
    }
    assert.deepEqual(documentsOf("components/prometheus-operator/prometheus-rule.yaml"), [wanted]);
  });

  test("scrape both services, as the jobs that the rules ask for", () => {
    const monitors = documentsOf("components/prometheus-operator/service-monitors.yaml").map((document) =>
      monitor.parse(document),
    );
    // A job is called as its service, if no jobLabel is given; services are labelled as they are called.
    const services = [...manifests].filter(([id]) => id.startsWith("Service/")).map(([, each]) => each);
    const jobs = monitors.map(({ spec }) => {
      const found = services.filter(
        ({ metadata }) =>
          metadata.labels?.["app.kubernetes.io/name"] === spec.selector.matchLabels["app.kubernetes.io/name"],
      );
      assert.equal(found.length, 1);
      return found[0]?.metadata.name;
    });
    const asked = readPackageFile("deploy/prometheus/rules.yaml").matchAll(/up\{job=~?"([^"]+)"/g);
    const names = [...asked].flatMap(([, name = ""]) => name.split("|"));
    assert.deepEqual([...new Set(names)].sort(), jobs.sort());
  });
});

describe("the manifest for KEDA", () => {
  const [document] = documentsOf("components/keda/scaled-object.yaml");
  const { spec } = scaledObject.parse(document);

  test("scales the relay, up to the partitions that `topics` creates", () => {
    assert.equal(spec.scaleTargetRef.name, relay.metadata.name);
    const partitions = topicsCommand().options.find(({ long }) => long === "--partitions")?.defaultValue;
    assert.equal(spec.maxReplicaCount, partitions);
    assert.equal(spec.minReplicaCount, relay.spec.replicas);
  });

  test("asks for nothing but metrics that exist", async () => {
    const names = new Set((await allSamples()).map(({ name }) => name));
    const asked = spec.triggers.flatMap(({ metadata }) => metadata.query.match(/optout_\w+/g) ?? []);
    assert.ok(asked.length > 8, "the pattern finds metrics");
    assert.deepEqual(
      asked.filter((name) => !names.has(name)),
      [],
    );
  });
});

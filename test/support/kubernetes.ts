import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { readPackageFile } from "../../src/package-files.ts";

export const KUBERNETES = "deploy/kubernetes";

/** Every document of one file. */
export const documentsOf = (path: string): unknown[] =>
  parseAllDocuments(readPackageFile(`${KUBERNETES}/${path}`)).map((document): unknown => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    return document.toJS();
  });

/** What kustomize makes of `example`, after files of it were replaced; undefined where there is no kubectl. */
export function renderExample(replaced: Readonly<Record<string, string>>): unknown[] | undefined {
  if (spawnSync("kubectl", ["version", "--client"]).status !== 0) return undefined;
  const copy = mkdtempSync(join(tmpdir(), "optout-kustomize-"));
  try {
    cpSync(resolve(KUBERNETES), copy, { recursive: true });
    for (const [name, text] of Object.entries(replaced)) writeFileSync(join(copy, "example", name), text);
    const { stdout, stderr, status } = spawnSync("kubectl", ["kustomize", join(copy, "example")], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
    return parseAllDocuments(stdout).map((document): unknown => document.toJS());
  } finally {
    rmSync(copy, { recursive: true });
  }
}

/** The YAML files of a folder of deploy/kubernetes. */
export const filesOf = (folder: string): string[] =>
  readdirSync(resolve(KUBERNETES, folder))
    .filter((name) => name.endsWith(".yaml"))
    .sort();

const manifest = z.looseObject({
  kind: z.string(),
  metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()).optional() }),
});

/** Those of the base, by kind/name. */
export const manifests: ReadonlyMap<string, z.output<typeof manifest>> = new Map(
  ["relay.yaml", "gateway.yaml", "topics.yaml", "network-policies.yaml"]
    .flatMap((name) => documentsOf(join("base", name)))
    .map((document) => manifest.parse(document))
    .map((each) => [`${each.kind}/${each.metadata.name}`, each]),
);

export const kustomization = z.object({
  kind: z.enum(["Kustomization", "Component"]),
  resources: z.array(z.string()),
  configMapGenerator: z.array(z.object({ name: z.string(), files: z.array(z.string()) })).optional(),
});

const container = z.object({
  args: z.array(z.string()),
  ports: z.tuple([z.object({ name: z.literal("http"), containerPort: z.int() })]),
  securityContext: z.unknown(),
  lifecycle: z.object({ preStop: z.object({ exec: z.object({ command: z.array(z.string()) }) }) }).optional(),
});

/** What a Deployment's tests look at; `kubernetes-validate` knows the rest. */
export const workload = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    replicas: z.int(),
    template: z.object({
      metadata: z.object({ labels: z.record(z.string(), z.string()) }),
      spec: z.object({
        terminationGracePeriodSeconds: z.int(),
        automountServiceAccountToken: z.boolean(),
        securityContext: z.looseObject({ runAsNonRoot: z.boolean(), seccompProfile: z.unknown() }),
        containers: z.tuple([container]),
      }),
    }),
  }),
});

const named = z.strictObject({ name: z.string() });
const labelSelector = z.strictObject({ matchLabels: z.record(z.string(), z.string()) });

/** https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.ServiceMonitor, as far as it is used. */
export const monitor = z.strictObject({
  apiVersion: z.literal("monitoring.coreos.com/v1"),
  kind: z.literal("ServiceMonitor"),
  metadata: named,
  spec: z.strictObject({
    selector: labelSelector,
    endpoints: z.tuple([
      z.strictObject({
        port: z.literal("http"),
        path: z.literal("/metrics"),
        interval: z.string().regex(/^\d+s$/),
      }),
    ]),
  }),
});

const texts = z.record(z.string(), z.string());
const recording = z.strictObject({ record: z.string(), expr: z.string() });
const alert = z.strictObject({
  alert: z.string(),
  expr: z.string(),
  for: z.string().optional(),
  labels: texts,
  annotations: texts,
});

/** https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule, as far as it is used. */
export const prometheusRule = z.strictObject({
  apiVersion: z.literal("monitoring.coreos.com/v1"),
  kind: z.literal("PrometheusRule"),
  metadata: named,
  spec: z.strictObject({
    groups: z.array(z.strictObject({ name: z.string(), rules: z.array(z.union([alert, recording])) })),
  }),
});

const scaling = z.strictObject({
  stabilizationWindowSeconds: z.int().max(3_600),
  policies: z.array(
    z.strictObject({ type: z.literal("Pods"), value: z.int(), periodSeconds: z.int().max(1_800) }),
  ),
});

/** https://keda.sh/docs/2.17/reference/scaledobject-spec/ and …/scalers/prometheus/, as far as they are used. */
export const scaledObject = z.strictObject({
  apiVersion: z.literal("keda.sh/v1alpha1"),
  kind: z.literal("ScaledObject"),
  metadata: named,
  spec: z.strictObject({
    scaleTargetRef: z.strictObject({ kind: z.literal("Deployment"), name: z.string() }),
    minReplicaCount: z.int(),
    maxReplicaCount: z.int(),
    pollingInterval: z.int(),
    advanced: z.strictObject({
      horizontalPodAutoscalerConfig: z.strictObject({
        behavior: z.strictObject({ scaleUp: scaling, scaleDown: scaling }),
      }),
    }),
    triggers: z.array(
      z.strictObject({
        type: z.literal("prometheus"),
        name: z.string(),
        metricType: z.enum(["AverageValue", "Value"]),
        metadata: z.strictObject({ serverAddress: z.url(), threshold: z.string(), query: z.string() }),
      }),
    ),
  }),
});

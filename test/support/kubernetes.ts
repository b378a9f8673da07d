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

/** What a ServiceMonitor's tests look at; `.ci/manifests` knows the rest, here and below. */
export const monitor = z.object({
  spec: z.object({
    selector: z.object({ matchLabels: z.record(z.string(), z.string()) }),
    endpoints: z.tuple([z.object({ port: z.literal("http"), path: z.literal("/metrics") })]),
  }),
});

/** The triggers' own fields are the scaler's, so that no schema has them: https://keda.sh/docs/2.17/scalers/prometheus/ */
export const scaledObject = z.object({
  spec: z.object({
    scaleTargetRef: z.object({ name: z.string() }),
    minReplicaCount: z.int(),
    maxReplicaCount: z.int(),
    triggers: z.array(
      z.object({
        type: z.literal("prometheus"),
        name: z.string(),
        metricType: z.enum(["AverageValue", "Value"]),
        metadata: z.strictObject({ serverAddress: z.url(), threshold: z.string(), query: z.string() }),
      }),
    ),
  }),
});

import { z } from "zod";
import { readPackageFile } from "../../src/package-files.ts";

const source = z.object({ type: z.literal("prometheus"), uid: z.literal(`\${datasource}`) });
const target = z.object({ refId: z.string(), datasource: source, expr: z.string() });
const panel = z.object({
  id: z.int().positive(),
  type: z.string(),
  title: z.string().min(1),
  description: z.string().optional(),
  gridPos: z.object({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }),
  datasource: source.optional(),
  targets: z.array(target).default([]),
  fieldConfig: z
    .object({ defaults: z.object({ unit: z.string().optional() }), overrides: z.array(z.unknown()) })
    .optional(),
});
const variable = z.object({
  name: z.string(),
  type: z.string(),
  query: z.union([z.string(), z.object({ query: z.string() })]),
});
const annotation = z.object({ name: z.string(), target: z.object({ expr: z.string() }) });

/** What the tests look at of a Grafana dashboard. */
export const dashboard = z
  .object({
    uid: z.string(),
    schemaVersion: z.int(),
    panels: z.array(panel),
    templating: z.object({ list: z.array(variable) }),
    annotations: z.object({ list: z.array(annotation) }),
  })
  .parse(JSON.parse(readPackageFile("deploy/grafana/dashboards/optout-relay.json")));

export type Panel = (typeof dashboard.panels)[number];

/** Every query of it, with where it is. */
export const dashboardQueries: readonly { where: string; query: string }[] = [
  ...dashboard.panels.flatMap(({ title, targets }) =>
    targets.map(({ refId, expr }) => ({ where: `${title} ${refId}`, query: expr })),
  ),
  ...dashboard.annotations.list.map(({ name, target: { expr } }) => ({
    where: `annotation ${name}`,
    query: expr,
  })),
];

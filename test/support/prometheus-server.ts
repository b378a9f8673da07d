import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { findFreePorts } from "../../src/local-stack/ports.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { waitFor } from "./wait.ts";

export interface Alert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: "pending" | "firing";
}

export interface Target {
  labels: Record<string, string>;
  health: string;
  lastError: string;
}

export interface Series {
  metric: Record<string, string>;
  /** Seconds since the epoch, and the value as text. */
  value: [number, string];
}

/** A real Prometheus. */
export interface PrometheusServer {
  query(expression: string): Promise<Series[]>;
  alerts(): Promise<Alert[]>;
  targets(): Promise<Target[]>;
  /** Trace ids of the exemplars it has of a metric. */
  exemplars(selector: string): Promise<string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * The product's rules. Only how long something must last before its alert fires is cut: to a second, as a test can't wait
 * for minutes. What the alerts look at, and their thresholds, stay.
 */
const hastyRules = (): string =>
  readPackageFile("deploy/prometheus/rules.yaml").replace(/^( +for:) \d+[smh]$/gm, "$1 1s");

/** Scrapes each second, as jobs that the rules know; the jobs' targets are host:port. */
export async function startPrometheus(jobs: Record<string, readonly string[]>): Promise<PrometheusServer> {
  if (spawnSync("prometheus", ["--version"]).error !== undefined) {
    throw new Error(
      "This test needs Prometheus: `apt-get install prometheus`, or have `prometheus` on the PATH.",
    );
  }
  const folder = await mkdtemp(join(tmpdir(), "optout-prometheus-"));
  const [port] = await findFreePorts(1);
  await writeFile(join(folder, "rules.yaml"), hastyRules());
  const config = {
    global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
    rule_files: ["rules.yaml"],
    scrape_configs: Object.entries(jobs).map(([job, targets]) => ({
      job_name: job,
      static_configs: [{ targets }],
    })),
  };
  await writeFile(join(folder, "prometheus.yml"), stringify(config));
  const child = spawn(
    "prometheus",
    [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--enable-feature=exemplar-storage",
      "--log.level=warn",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const complaints: string[] = [];
  child.stderr.on("data", (chunk: Buffer) => complaints.push(chunk.toString()));
  const ended = once(child, "exit");
  const url = `http://127.0.0.1:${port}`;

  const ask = async (path: string, parameters: Record<string, string> = {}): Promise<unknown> => {
    const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const answer = (await response.json()) as { status: string; error?: string; data?: unknown };
    if (answer.status !== "success") throw new Error(`${answer.error}: ${JSON.stringify(parameters)}`);
    return answer.data;
  };

  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
  };

  try {
    await waitFor("Prometheus to be ready", async () => {
      if (child.exitCode !== null) throw new Error(`Prometheus ended: ${complaints.join("")}`);
      return (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    query: async (query) => ((await ask("query", { query })) as { result: Series[] }).result,
    alerts: async () => ((await ask("alerts")) as { alerts: Alert[] }).alerts,
    targets: async () => ((await ask("targets")) as { activeTargets: Target[] }).activeTargets,
    async exemplars(query) {
      const start = String(Date.now() / 1000 - 3_600);
      const end = String(Date.now() / 1000 + 60);
      const series = (await ask("query_exemplars", { query, start, end })) as {
        exemplars: { labels: Record<string, string> }[];
      }[];
      return series.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels.trace_id ?? ""));
    },
    [Symbol.asyncDispose]: stop,
  };
}

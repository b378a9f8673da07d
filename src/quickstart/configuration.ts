import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";

export interface Reached {
  brokers: readonly string[];
  registryUrl: string | undefined;
  environments: readonly { name: string; baseUrl: string }[];
  /** Of the topics and the consumer group. */
  prefix: string;
}

/** The quickstart's configuration as a user would write it. Its one secret is of the simulator, which takes any. */
export const configurationOf = ({ brokers, registryUrl, environments, prefix }: Reached): object => ({
  kafka: { brokers: [...brokers], groupId: `${prefix}optout-relay` },
  topics: {
    events: `${prefix}opt-out-events`,
    status: `${prefix}opt-out-status`,
    deadLetter: `${prefix}opt-out-dead-letter`,
  },
  ...(registryUrl !== undefined && { schemaRegistry: { url: registryUrl } }),
  batching: { maxEntries: 25, maxWait: "500ms" },
  environments: environments.map(({ name, baseUrl }) => ({
    name,
    baseUrl,
    auth: { clientId: "quickstart", clientSecret: "quickstart" },
    retry: { initialBackoff: "100ms", maxBackoff: "2s" },
  })),
  server: { port: 0 },
  gateway: { port: 0, requestsPerSecond: 1_000_000 },
});

export interface ConfigurationFile {
  path: string;
  remove(): Promise<void>;
}

/** For the other commands, in a temporary folder of its own. */
export async function writeConfiguration(configuration: object): Promise<ConfigurationFile> {
  const folder = await mkdtemp(join(tmpdir(), "optout-quickstart-"));
  const path = join(folder, "quickstart.yaml");
  await writeFile(path, `# Of a running quickstart, and gone with it.\n${stringify(configuration)}`);
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}

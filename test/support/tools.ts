import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isCached } from "../../src/local-stack/artifacts.ts";
import { kafkaServer } from "../../src/local-stack/kafka-broker.ts";
import { registryServer } from "../../src/local-stack/schema-registry.ts";

const SCRIPT = fileURLToPath(new URL("../../../.ci/install-tools", import.meta.url));
/** What a module runs besides Node, by the end of its path or by its package. */
const NEEDED_BY: Readonly<Record<string, readonly string[]>> = {
  "support/certificates.js": ["openssl"],
  "support/prometheus-server.js": ["prometheus"],
  "integration/local-stack.test.js": ["ps"],
  "playwright-core": ["chromium"],
};
/** As the compiler writes them, the end of one over several lines too; only of other modules here, or of packages. */
const IMPORT = /^(?:import|export|\})[^"\n]* ?"([^/"\n][^"\n]*)";$/gm;

/**
 * The programs that compiled test files need, as `.ci/install-tools` calls them: found by what the files import, directly
 * or not. `integration`: over a real Kafka and registry.
 */
export async function toolsFor(files: readonly string[], integration: boolean): Promise<string[]> {
  const tools = new Set<string>(integration ? ["java", ...((await isDownloaded()) ? [] : ["mvn"])] : []);
  const seen = new Set<string>();
  const visit = async (module: string): Promise<void> => {
    if (seen.has(module)) return;
    seen.add(module);
    for (const [end, needed] of Object.entries(NEEDED_BY)) {
      if (module === end || module.endsWith(`/${end}`)) for (const tool of needed) tools.add(tool);
    }
    if (!module.startsWith("/")) return;
    const imports = [...(await readFile(module, "utf8")).matchAll(IMPORT)].map(([, name = ""]) => name);
    // The product runs none of these, and a package isn't looked into.
    const further = imports.filter((name) => !name.includes("/src/"));
    await Promise.all(
      further.map((name) => visit(name.startsWith(".") ? resolve(dirname(module), name) : name)),
    );
  };
  await Promise.all(files.map(visit));
  return [...tools].sort();
}

async function isDownloaded(): Promise<boolean> {
  const version = process.env.OPTOUT_TEST_KAFKA_VERSION;
  const artifacts = [kafkaServer({ version }).artifact, registryServer().artifact];
  return (await Promise.all(artifacts.map(isCached))).every(Boolean);
}

/** Installs what is missing of them, or says what is missing and how to get it: false then. */
export async function provideTools(tools: readonly string[]): Promise<boolean> {
  if (tools.length === 0) return true;
  const child = spawn("bash", [SCRIPT, ...tools], { stdio: ["ignore", "inherit", "inherit"] });
  const [code] = await once(child, "exit");
  return code === 0;
}

import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";

const run = promisify(execFile);

/** The package as its users get it, in a folder of its own. */
export interface InstalledPackage {
  /** Where it was installed: what is in it are package.json and node_modules. */
  readonly folder: string;
  /** The package itself, within it. */
  readonly root: string;
  /** Its command's file. */
  readonly cli: string;
  /** What the tarball holds. */
  readonly files: readonly string[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Compiles, packs and installs it, with its dependencies, from what npm is configured to use. */
export async function installPackage(): Promise<InstalledPackage> {
  const root = await mkdtemp(join(tmpdir(), "optout-package-"));
  const source = join(root, "source");
  const folder = join(root, "user");
  await mkdir(source);
  await mkdir(folder);
  const tsc = resolve("node_modules/.bin/tsc");
  await run(tsc, ["-p", "tsconfig.build.json", "--outDir", join(source, "dist")]);
  const { files } = z
    .object({ files: z.array(z.string()) })
    .parse(JSON.parse(await readFile("package.json", "utf8")));
  for (const name of ["package.json", ...files.filter((name) => name !== "dist")]) {
    await cp(resolve(name), join(source, name), { recursive: true });
  }
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts"], { cwd: source });
  const [pack]: { filename: string; files: { path: string }[] }[] = JSON.parse(stdout);
  if (pack === undefined) throw new Error("npm pack made nothing");
  await writeFile(
    join(folder, "package.json"),
    JSON.stringify({ name: "user", private: true, type: "module" }),
  );
  const tarball = join(source, pack.filename);
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", tarball], {
    cwd: folder,
  });
  return {
    folder,
    root: join(folder, "node_modules/optout-relay"),
    cli: join(folder, "node_modules/.bin/optout-relay"),
    files: pack.files.map(({ path }) => path),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

/** Compiles a program of the package's user, strictly, against the types that were installed; Node's come with a dependency. */
export async function compile(folder: string, file: string): Promise<void> {
  const flags = ["--strict", "--skipLibCheck", "--types", "node", "--outDir", folder];
  const target = ["--module", "NodeNext", "--target", "ES2022", "--lib", "ES2023,ESNext.Disposable"];
  try {
    await run(resolve("node_modules/.bin/tsc"), [...flags, ...target, join(folder, file)], { cwd: folder });
  } catch (error) {
    const { stdout = "" } = error as { stdout?: string };
    throw new Error(`It doesn't compile:\n${stdout}`, { cause: error });
  }
}

/** Of these files everything is a promise, or what is named. The configuration has a report of its own: its JSON Schema. */
const API: Record<string, readonly string[] | "all"> = {
  "index.d.ts": "all",
  "delivery/dialects/dialect.d.ts": "all",
  "config/environment-keys.d.ts": "all",
  "batching/batch.d.ts": ["Entry"],
  "check/finding.d.ts": ["Result", "Observation"],
  "observability/server.d.ts": ["Health"],
  "observability/logger.d.ts": ["Logger"],
  "errors.d.ts": "all",
};

/** With their comments. */
function declarationsOf(text: string, names: readonly string[]): string {
  const all = text.split(/\n(?=\/\*\*|(?<!\*\/\n)export )/);
  const found = names.map((name) => {
    const pattern = new RegExp(`^export (?:type|interface) (?:\\{ )?${name}\\b`, "m");
    const declaration = all.find((each) => pattern.test(each));
    if (declaration === undefined) throw new Error(`${name} is declared elsewhere now`);
    return declaration;
  });
  return found.join("\n");
}

/** The declarations that the package exports, for people to read, and to see when they change. */
export async function apiPage(dist: string): Promise<string> {
  const parts = await Promise.all(
    Object.entries(API).map(async ([name, promised]) => {
      const whole = await readFile(join(dist, name), "utf8");
      const text = promised === "all" ? whole : declarationsOf(whole, promised);
      return `## ${name}\n\n\`\`\`ts\n${text.trimEnd()}\n\`\`\`\n`;
    }),
  );
  return [
    "<!-- Made from the code: OPTOUT_TEST_UPDATE=1 npm test -- package -->\n\n# Library\n",
    "What `optout-relay` exports, and the declarations that it is made of. How to use it: [embed](../how-to/embed.md).\n" +
      "`ConfigInput` is the [configuration](configuration.md), whose own report is [its JSON Schema](../../schemas/config.schema.json).\n",
    ...parts,
  ].join("\n");
}

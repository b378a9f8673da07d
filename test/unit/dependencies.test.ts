import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { readPackageFile } from "../../src/package-files.ts";

const entry = z.object({
  version: z.string().optional(),
  integrity: z.string().optional(),
  license: z.string().optional(),
  dev: z.boolean().optional(),
  hasInstallScript: z.boolean().optional(),
});
const { packages } = z
  .object({ packages: z.record(z.string(), entry) })
  .parse(JSON.parse(readPackageFile("package-lock.json")));
const manifest = z
  .object({
    dependencies: z.record(z.string(), z.string()),
    devDependencies: z.record(z.string(), z.string()),
  })
  .parse(JSON.parse(readPackageFile("package.json")));
const page = readPackageFile("docs/dependencies.md");

const installed = Object.entries(packages).filter(([path]) => path !== "");
const nameOf = (path: string): string =>
  path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);

/** Licences that let anybody use and pass on what is under them, with a notice at most. */
const PERMISSIVE = [
  "MIT",
  "Apache-2.0",
  "ISC",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "0BSD",
  "BlueOak-1.0.0",
  "MIT OR Apache-2.0",
];
/** Those that don't say it in their package.json, but in a file LICENSE. */
const SAID_ELSEWHERE: Record<string, string> = { "@kafkajs/confluent-schema-registry": "MIT" };
const licenceOf = (path: string): string => packages[path]?.license ?? SAID_ELSEWHERE[nameOf(path)] ?? "none";

const quoted = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => String(name));

describe("dependencies", () => {
  test("each is one version, and the bytes of each package are known", () => {
    for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
      assert.match(version, /^\d+\.\d+\.\d+$/, name);
      assert.equal(packages[`node_modules/${name}`]?.version, version, name);
    }
    for (const [path, { integrity }] of installed) assert.match(integrity ?? "none", /^sha512-/, path);
  });

  test("all are under licences that let anybody use them", () => {
    for (const [path] of installed)
      assert.ok(PERMISSIVE.includes(licenceOf(path)), `${path}: ${licenceOf(path)}`);
  });

  test("no install script is run, and only one package has any", () => {
    assert.match(readPackageFile(".npmrc"), /^ignore-scripts=true$/m);
    const scripted = installed
      .filter(([, { hasInstallScript }]) => hasInstallScript)
      .map(([path]) => nameOf(path));
    assert.deepEqual(scripted, ["protobufjs"], "a new one: look at what its script does");
  });

  test("the page lists each one that the program needs, with its licence", () => {
    const rows = page.split("\n").filter((line) => line.startsWith("| `"));
    const listed = rows.flatMap((row) => {
      const [, names = "", licences = ""] = row.split("|");
      const of = licences.split(",").map((licence) => licence.trim());
      return quoted(names).map((name, index) => [name, of[index]] as const);
    });
    assert.deepEqual(listed.map(([name]) => name).sort(), Object.keys(manifest.dependencies).sort());
    for (const [name, licence] of listed) assert.equal(licence, licenceOf(`node_modules/${name}`), name);
    const [, development = ""] = page.split("For development:");
    assert.deepEqual(quoted(development).sort(), Object.keys(manifest.devDependencies).sort());
  });
});

import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Command } from "commander";
import { readPackageFile } from "../../src/package-files.ts";
import { commandsPage, configurationPage, metricsPage, outcomesPage } from "../support/reference.ts";

/** What every file of src/commands makes. */
async function allCommands(): Promise<Command[]> {
  const folder = new URL("../../src/commands/", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith(".js"));
  const modules: Record<string, unknown>[] = await Promise.all(
    files.map((name) => import(new URL(name, folder).href)),
  );
  return modules.flatMap((each) =>
    Object.entries(each).flatMap(([name, make]) => {
      if (!name.endsWith("Command") || typeof make !== "function") return [];
      const command: unknown = make();
      return command instanceof Command ? [command] : [];
    }),
  );
}

const pages = {
  configuration: async () => configurationPage(),
  commands: async () => commandsPage(await allCommands()),
  metrics: async () => metricsPage(),
  outcomes: async () => outcomesPage(),
};

for (const [name, make] of Object.entries(pages)) {
  test(`docs/reference/${name}.md says what the code does (OPTOUT_TEST_UPDATE=1 writes it anew)`, async () => {
    const path = `docs/reference/${name}.md`;
    const text = await make();
    if (process.env.OPTOUT_TEST_UPDATE) writeFileSync(path, text);
    assert.equal(readPackageFile(path), text);
  });
}

test("the reference has every command that the program has", async () => {
  const [, ...listed] = readPackageFile("src/cli.ts").matchAll(
    /^ {2}(\w+): async \(\) => \(await import\(/gm,
  );
  assert.deepEqual((await allCommands()).map((command) => command.name()).sort().length, listed.length + 1);
});

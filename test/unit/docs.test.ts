import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { parseConfig } from "../../src/config/load.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { docPages, fencesOf, linksOf } from "../support/doc-steps.ts";

const HOW_TO = docPages().filter((page) => /^docs\/(how-to\/|tutorial)/.test(page));
const TYPED = [...HOW_TO, "docs/runbook.md", "docs/compliance.md"];

/** As GitHub makes them of headings. */
const anchorsOf = (page: string): string[] =>
  [...readPackageFile(page).matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-"),
  );

/** What only its own tools can run; the tests look at the rest of what the pages say to type. */
const NOT_RUN =
  /^(git clone|npm ci|docker |kubectl |kafka-[a-z-]+\.sh |curl |GATEWAY=|SIMULATOR=|CONFIG=|npx optout-relay (relay|gateway) )/;

describe("the documentation", () => {
  test("links to nothing that isn't there", () => {
    let links = 0;
    for (const page of docPages()) {
      for (const { target, file, anchor } of linksOf(page, readPackageFile(page))) {
        assert.ok(existsSync(resolve(file)), `${page}: ${target}`);
        if (anchor !== undefined && file.endsWith(".md")) {
          assert.ok(anchorsOf(file).includes(anchor), `${page}: ${target} has no such heading`);
        }
        links++;
      }
    }
    assert.ok(links > 60, "the pattern finds links");
  });

  test("is reached from its index, every page of it", () => {
    const index = readPackageFile("docs/README.md");
    const pages = docPages().filter((page) => page.startsWith("docs/") && page !== "docs/README.md");
    for (const page of pages) assert.ok(index.includes(`(${page.slice("docs/".length)})`), page);
  });

  test("is short: a how-to is read in two minutes", () => {
    for (const page of HOW_TO) assert.ok(readPackageFile(page).split("\n").length <= 120, page);
  });

  test("has no configuration that the program would refuse", () => {
    const folder = mkdtempSync(join(tmpdir(), "optout-docs-"));
    let seen = 0;
    try {
      for (const page of HOW_TO) {
        for (const { text } of fencesOf(page).filter(({ language }) => language === "yaml")) {
          const files = [...text.matchAll(/\$\{file:\/run\/secrets\/([^}]+)\}/g)];
          for (const [, name = ""] of files) writeFileSync(join(folder, name), "a-secret");
          const names = [...text.matchAll(/\$\{(\w+)\}/g)].map(([, name = ""]) => name);
          const raw: Record<string, unknown> = parse(text.replaceAll("/run/secrets", folder));
          const auth = { clientId: "a", clientSecret: "b" };
          const smallest = {
            kafka: { brokers: ["localhost:9092"] },
            environments: [{ name: "production", baseUrl: "https://cxone.example.com", auth }],
          };
          const env = Object.fromEntries(names.map((name) => [name, "value"]));
          // What names environments is whole, to be copied; the rest are parts.
          const whole = "environments" in raw ? raw : { ...smallest, ...raw };
          parseConfig(whole, { env, origin: page });
          seen++;
        }
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
    assert.ok(seen >= 6);
  });

  test("names every secret that is read again without a restart, and no other", () => {
    const sources = ["src/relay/relay.ts", "src/commands/gateway.ts"].map(readPackageFile).join("\n");
    const read = [...sources.matchAll(/rereadable\(config, \[([^\]]+)\]/g)].map(([, path = ""]) =>
      path.replaceAll('"', "").replace(", index", "[]").replaceAll(", ", "."),
    );
    const told = [...readPackageFile("docs/how-to/secrets.md").matchAll(/^\| `([^`]+)` \|/gm)].map(
      ([, key = ""]) => key,
    );
    assert.deepEqual(told.sort(), [...new Set(read)].sort());
  });

  test("says nothing to type that no test could run, but for other people's tools", () => {
    for (const page of TYPED) {
      for (const { language, text } of fencesOf(page)) {
        if (language === "sh")
          assert.doesNotMatch(text, /^optout-relay/m, `${page}: not found after npm install`);
        assert.ok(["sh", "console", "text", "yaml", "ts"].includes(language), `${page}: ${language}`);
        if (language !== "console") continue;
        for (const line of text.split("\n").filter((each) => each !== "")) {
          assert.match(line, NOT_RUN, `${page}: make it sh, for the tests to run it`);
        }
      }
    }
  });
});

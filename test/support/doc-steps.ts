import { readdirSync } from "node:fs";
import { dirname, join, normalize, resolve } from "node:path";
import { readPackageFile } from "../../src/package-files.ts";

/** The project's pages, by their path in the repository. */
export const docPages = (): string[] => [
  ...["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "schemas/README.md"],
  ...readdirSync(resolve("docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .sort()
    .map((name) => `docs/${name}`),
];

export interface Link {
  page: string;
  /** As it is written. */
  target: string;
  /** What it leads to, by its path in the repository. */
  file: string;
  anchor: string | undefined;
}

/** The links of a page that don't leave the repository. */
export const linksOf = (page: string, text: string): Link[] =>
  [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = ""]) => {
    if (/^https?:/.test(target)) return [];
    const [path = "", anchor] = target.split("#");
    return [{ page, target, file: path === "" ? page : normalize(join(dirname(page), path)), anchor }];
  });

export interface Fence {
  language: string;
  /** Without the indent of a list that it is in. */
  text: string;
}

export const fencesOf = (page: string): Fence[] =>
  [...readPackageFile(page).matchAll(/^( *)```([^\n]*)\n([\s\S]*?)^ *```$/gm)].map(
    ([, indent = "", language = "", text = ""]) => ({
      language,
      text: text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
    }),
  );

/** A command block (`sh`) of a page, and what the `text` block after it says that it prints. */
export interface Step {
  command: string;
  /** Lines of which each is in the output somewhere, in this order; "…" stands for anything. */
  prints: RegExp[];
}

const patternOf = (line: string): RegExp =>
  new RegExp(
    line
      .split("…")
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
      .join("[^\\n]*"),
  );

export function stepsOf(page: string): Step[] {
  const fences = fencesOf(page);
  return fences.flatMap(({ language, text }, index) => {
    if (language !== "sh") return [];
    const next = fences[index + 1];
    const lines = next?.language === "text" ? next.text.split("\n").filter((line) => line !== "") : [];
    return [{ command: text, prints: lines.map(patternOf) }];
  });
}

/** The first line that isn't there, or undefined. */
export function missingOf({ prints }: Step, output: string): RegExp | undefined {
  let rest = output;
  for (const pattern of prints) {
    const found = pattern.exec(rest);
    if (found === null) return pattern;
    rest = rest.slice(found.index + found[0].length);
  }
  return undefined;
}

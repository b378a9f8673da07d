import type { z } from "zod";
import { nearest } from "./nearest.ts";
import { isSecretPath, mask, show, soundsSecret } from "./secrets.ts";
import type { Shape } from "./shape.ts";
import { formatPath, type Path, valueAt } from "./tree.ts";

/** What the values came from, to say where a mistake was made and what must not be shown. */
export interface Provenance {
  tree: unknown;
  lineOf: (path: Path) => number | undefined;
  variableOf: (path: Path) => string | undefined;
  isInterpolated: (path: Path) => boolean;
  shape: Shape;
}

/** Whether the value may be seen; a refused one is no longer there to show. */
type Visibility = "shown" | "masked" | "none";

/** One line for one mistake: the key, its value, where it was given, and what is expected. */
export function describeProblem(
  path: Path,
  says: string,
  from: Provenance,
  visibility: Visibility = "shown",
): string {
  const value = visibility === "none" || path.length === 0 ? "" : valueAs(visibility, path, from);
  return `${formatPath(path)}${value}${placeOf(path, from)}: ${says}`;
}

function valueAs(visibility: Visibility, path: Path, from: Provenance): string {
  const value = valueAt(from.tree, path);
  if (value === undefined) return " is missing";
  const secret =
    visibility === "masked" ||
    isSecretPath(path) ||
    from.isInterpolated(path) ||
    // A mapping that came as text may hold anything.
    (typeof value === "string" && from.shape.isStructure(path));
  return ` = ${secret ? mask : show(value)}`;
}

function placeOf(path: Path, from: Provenance): string {
  const variable = from.variableOf(path);
  if (variable) return ` (from ${variable})`;
  const line = from.lineOf(path);
  return line === undefined ? "" : ` (line ${line})`;
}

interface Finding {
  path: Path;
  says: string;
  visibility?: Visibility;
  /** Independent of what the key holds. */
  aboutKey?: boolean;
}

/** The schema's issues as lines; those at or below a path that is `known` to be wrong already are left out. */
export function describeIssues(
  issues: readonly z.core.$ZodIssue[],
  from: Provenance,
  isKnown: (path: Path) => boolean,
): string[] {
  return issues
    .flatMap((issue) => findingsOf(issue, [], from))
    .filter(({ path, aboutKey }) => aboutKey || !isKnown(path))
    .map(({ path, says, visibility }) => describeProblem(path, says, from, visibility));
}

function findingsOf(issue: z.core.$ZodIssue, parent: Path, from: Provenance): Finding[] {
  const path = [...parent, ...issue.path.map((step) => (typeof step === "number" ? step : String(step)))];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => unknownKey([...path, key], from));
    case "invalid_union": {
      // The one alternative of the value's own type, if there is one, says more than "none of these".
      const meant = issue.errors.filter((branch) => !branch.some(isWrongType));
      const [only, ...others] = meant;
      if (!only || others.length > 0) return [{ path, says: issue.message }];
      return only.flatMap((inner) => findingsOf(inner, path, from));
    }
    case "invalid_key":
      return [{ path, says: issue.issues[0]?.message ?? issue.message }];
    case "invalid_type":
      return [{ path, says: expectedType(issue, path, from) }];
    default:
      return [{ path, says: issue.message }];
  }
}

const isWrongType = (issue: z.core.$ZodIssue): boolean =>
  issue.code === "invalid_type" && issue.path.length === 0;

/** The schema's leaves and lists bring their own sentences; mappings and booleans have these. */
function expectedType(issue: z.core.$ZodIssueInvalidType, path: Path, from: Provenance): string {
  const fromOutside = from.variableOf(path) !== undefined || from.isInterpolated(path);
  const json = fromOutside && typeof valueAt(from.tree, path) === "string" ? ", as JSON" : "";
  switch (issue.expected) {
    case "object":
      return `expected a mapping with the keys ${from.shape.knownKeys(path, from.tree).join(", ")}${json}`;
    case "record":
      return `expected a mapping${json}`;
    case "boolean":
      return "expected true or false";
    default:
      return issue.message;
  }
}

function unknownKey(path: Path, from: Provenance): Finding {
  const key = String(path.at(-1));
  const { allPaths, chooserOf, knownKeys } = from.shape;
  const known = knownKeys(path.slice(0, -1), from.tree);
  const visibility: Visibility = mayBeSecret(key, known, allPaths) ? "masked" : "shown";
  const finding: Omit<Finding, "says"> = { path, visibility, aboutKey: true };
  const choice = chooserOf(path, from.tree);
  if (choice !== undefined) return { ...finding, says: `unknown key here; it belongs to ${choice}` };
  const meant = nearest(key, known);
  if (meant) return { ...finding, says: `unknown key; did you mean ${meant}?` };
  const elsewhere = allPaths.find(
    (candidate) => candidate.length !== path.length && candidate.at(-1) === key,
  );
  const hint = elsewhere
    ? `did you mean ${formatPath(elsewhere).replaceAll("[0]", "[…]")}?`
    : `the keys here are ${known.join(", ")}`;
  return { ...finding, says: `unknown key; ${hint}` };
}

/** An unknown key may hold a secret by another name: misspelt, or put beside one. */
function mayBeSecret(key: string, siblings: readonly string[], allPaths: readonly Path[]): boolean {
  const secretKeys = allPaths.map((path) => String(path.at(-1))).filter(soundsSecret);
  return siblings.some(soundsSecret) || nearest(key, secretKeys) !== undefined;
}

const maxLines = 100;

/** The whole message: a headline with the number of problems, one line each, and what helps with all of them. */
export function composeMessage(origin: string, lines: readonly string[], advice?: string): string {
  const distinct = [...new Set(lines)];
  const count = distinct.length === 1 ? "1 problem" : `${distinct.length} problems`;
  const shown = distinct.slice(0, maxLines).map((line) => `  ${line}`);
  const rest = distinct.length > maxLines ? [`  … and ${distinct.length - maxLines} more`] : [];
  const last = advice === undefined ? [] : [advice];
  return [`${origin} has ${count}:`, ...shown, ...rest, ...last].join("\n");
}

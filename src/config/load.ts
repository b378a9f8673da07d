import { messageOf, OptoutError } from "../errors.ts";
import { type ConfigDocument, readDocument } from "./document.ts";
import { interpolateTree } from "./interpolate.ts";
import { applyOverrides, type Override, variableOf } from "./overrides.ts";
import { composeMessage, describeIssues, describeProblem, type Provenance } from "./problems.ts";
import { readText } from "./read-text.ts";
import { type Config, configSchema } from "./schema.ts";
import { rememberInterpolated } from "./secrets.ts";
import { coerceText } from "./shape.ts";
import { copyTree, createPathSet, isMapping, type Mapping, quote, type Refusal } from "./tree.ts";

export { redactConfig } from "./secrets.ts";

export interface LoadOptions {
  /** YAML or JSON. Absent: the environment alone. */
  file?: string | undefined;
  /** For `OPTOUT_…` overrides and `${NAME}`. */
  env: NodeJS.ProcessEnv;
}

/**
 * Reads, interpolates, overrides and validates the configuration.
 * @throws OptoutError `configuration`, one message with a line for every problem there is.
 */
export function loadConfig({ file, env }: LoadOptions): Config {
  if (file === undefined) {
    return parseConfig(
      {},
      {
        env,
        origin:
          "No configuration file was named (--config FILE or OPTOUT_CONFIG), and what OPTOUT_… variables give",
      },
    );
  }
  const document = readDocument(readFile(file));
  return build(document, env, `The configuration ${file}`);
}

function readFile(file: string): string {
  try {
    return readText(file);
  } catch (error) {
    const hint = "give the configuration file with --config or OPTOUT_CONFIG";
    throw new OptoutError("configuration", `The configuration: ${messageOf(error)}; ${hint}`, {
      cause: error,
    });
  }
}

export interface ParseOptions {
  /** For `OPTOUT_…` overrides and `${NAME}`; nothing by default. */
  env?: NodeJS.ProcessEnv;
  /** How the error message begins. */
  origin?: string;
}

/**
 * As `loadConfig`, of a tree that was parsed already: for embedding and tests.
 * @throws OptoutError `configuration`, one message with a line for every problem there is.
 */
export function parseConfig(
  raw: unknown,
  { env = {}, origin = "The configuration" }: ParseOptions = {},
): Config {
  return build({ tree: raw, faults: [], usable: true, lineOf: () => undefined }, env, origin);
}

function build(document: ConfigDocument, env: NodeJS.ProcessEnv, origin: string): Config {
  const lines = document.faults.map(({ line, says }) =>
    line === undefined ? says : `line ${line}: ${says}`,
  );
  const fail = (): never => {
    throw new OptoutError("configuration", composeMessage(origin, lines));
  };
  if (!document.usable) return fail();

  const { tree, refused } = copyTree(document.tree ?? {});
  if (!isMapping(tree)) {
    lines.push("the top level: expected a mapping with the keys kafka, environments and more");
    return fail();
  }
  const overrides = applyOverrides(tree, env);
  const { filled, interpolated, faults } = interpolate(tree, env, overrides.applied);
  const from: Provenance = {
    tree: filled,
    lineOf: document.lineOf,
    variableOf: (path) => variableOf(overrides.applied, path),
    isInterpolated: interpolated.covers,
  };
  const faulty = createPathSet(faults.map(({ path }) => path));
  const result = configSchema.safeParse(filled);
  lines.push(
    ...overrides.faults.map(
      ({ variable, says }) => `${/^\w{1,200}$/.test(variable) ? variable : quote(variable)}: ${says}`,
    ),
    ...refused.map(({ path, says }) => describeProblem(path, says, from, "none")),
    ...faults.map(({ path, says }) => describeProblem(path, says, from)),
    ...(result.success ? [] : describeIssues(result.error.issues, from, faulty.covers)),
  );
  if (lines.length > 0 || !result.success) return fail();
  rememberInterpolated(result.data, interpolated);
  return result.data;
}

/** What a variable set is taken as it is, so that a secret given in one needs no escaping. */
function interpolate(tree: Mapping, env: NodeJS.ProcessEnv, overrides: readonly Override[]) {
  const overridden = createPathSet(overrides.map(({ path }) => path));
  const interpolated = createPathSet();
  const faults: Refusal[] = [];
  const filled = interpolateTree(tree, {
    env,
    skip: overridden.covers,
    convert: coerceText,
    substituted: interpolated.add,
    fault: (refusal) => void faults.push(refusal),
  });
  return { filled, interpolated, faults };
}

import type { z } from "zod";
import type { DialectDefinition } from "../delivery/dialects/dialect.ts";
import { messageOf, OptoutError } from "../errors.ts";
import { type ConfigDocument, readDocument } from "./document.ts";
import { type InterpolationHooks, interpolateTree } from "./interpolate.ts";
import { applyOverrides, type VariableFault, variableOf } from "./overrides.ts";
import { composeMessage, describeIssues, describeProblem, type Provenance } from "./problems.ts";
import { readText } from "./read-text.ts";
import { rememberOrigin } from "./reread.ts";
import { type AnyConfig, type Config, type ConfigOf, configSchema, configSchemaFor } from "./schema.ts";
import { rememberInterpolated } from "./secrets.ts";
import { type Shape, shapeOf } from "./shape.ts";
import {
  copyTree,
  createPathSet,
  isMapping,
  type Path,
  type PathSet,
  quote,
  type Refusal,
  valueAt,
  withValueAt,
} from "./tree.ts";

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
        advice: "The smallest configuration is in: optout-relay relay --help",
      },
    );
  }
  const document = readDocument(readFile(file));
  return build(document, configSchema, { env, origin: `The configuration ${file}` });
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
  /** How it ends, on a line of its own. */
  advice?: string;
}

/**
 * As `loadConfig`, of a tree that was parsed already: for embedding and tests.
 * @param options.dialects of environments, in place of those there are; the first is the default.
 * @throws OptoutError `configuration`, one message with a line for every problem there is.
 */
export function parseConfig<Definition extends DialectDefinition>(
  raw: unknown,
  options: ParseOptions & { dialects: readonly Definition[] },
): ConfigOf<Definition>;
export function parseConfig(raw: unknown, options?: ParseOptions): Config;
export function parseConfig(
  raw: unknown,
  options: ParseOptions & { dialects?: readonly DialectDefinition[] } = {},
): AnyConfig {
  const { env = {}, origin = "The configuration", advice, dialects } = options;
  const schema = dialects === undefined ? configSchema : configSchemaFor(dialects);
  return build({ tree: raw, faults: [], usable: true, lineOf: () => undefined }, schema, {
    env,
    origin,
    advice,
  });
}

function build<Parsed extends AnyConfig>(
  document: ConfigDocument,
  schema: z.ZodType<Parsed>,
  { env, origin, advice }: { env: NodeJS.ProcessEnv; origin: string; advice?: string | undefined },
): Parsed {
  const lines = document.faults.map(({ line, says }) =>
    line === undefined ? says : `line ${line}: ${says}`,
  );
  const fail = (): never => {
    throw new OptoutError("configuration", composeMessage(origin, lines, advice));
  };
  if (!document.usable) return fail();

  const { tree, refused } = copyTree(document.tree ?? {});
  if (!isMapping(tree)) {
    lines.push("the top level: expected a mapping with the keys kafka, environments and more");
    return fail();
  }
  const shape = shapeOf(schema);
  const overrides = applyOverrides(tree, env, shape);
  const overridden = createPathSet(overrides.applied.map(({ path }) => path));
  // A copy: when files are read again, variables stay what they are now.
  const context = { env: { ...env }, overridden, shape };
  const { filled, interpolated, files, faults } = interpolate(tree, context);
  const from = (current: unknown): Provenance => ({
    tree: current,
    lineOf: document.lineOf,
    variableOf: (path) => variableOf(overrides.applied, path),
    isInterpolated: interpolated.covers,
    shape,
  });
  const checked = validate(schema, faults, from(filled));
  lines.push(
    ...overrides.faults.map(describeVariable),
    ...refused.map(({ path, says }) => describeProblem(path, says, from(filled), "none")),
    ...checked.problems,
  );
  const { config } = checked;
  if (lines.length > 0 || config === undefined) return fail();
  rememberInterpolated(config, interpolated);
  rememberOrigin(config, {
    files,
    reread(path) {
      const part = interpolate(valueAt(tree, path), context, path);
      return validate(schema, part.faults, from(withValueAt(filled, path, part.filled)));
    },
  });
  return config;
}

const describeVariable = ({ variable, says }: VariableFault): string =>
  `${/^\w{1,200}$/.test(variable) ? variable : quote(variable)}: ${says}`;

/** A line for every problem, references that failed before all else; a configuration only if there is none. */
function validate<Parsed extends AnyConfig>(
  schema: z.ZodType<Parsed>,
  faults: readonly Refusal[],
  from: Provenance,
): { config: Parsed | undefined; problems: string[] } {
  const faulty = createPathSet(faults.map(({ path }) => path));
  const result = schema.safeParse(from.tree);
  const problems = [
    ...faults.map(({ path, says }) => describeProblem(path, says, from)),
    ...(result.success ? [] : describeIssues(result.error.issues, from, faulty.covers)),
  ];
  return { config: problems.length === 0 ? result.data : undefined, problems };
}

interface InterpolationContext {
  env: NodeJS.ProcessEnv;
  overridden: PathSet;
  shape: Shape;
}

/** What a variable set is taken as it is, so that a secret given in one needs no escaping. */
function interpolate(tree: unknown, { env, overridden, shape }: InterpolationContext, path?: Path) {
  const interpolated = createPathSet();
  const files: { path: Path; file: string }[] = [];
  const faults: Refusal[] = [];
  const hooks: InterpolationHooks = {
    env,
    skip: overridden.covers,
    convert: shape.coerceText,
    substituted(at, read) {
      interpolated.add(at);
      files.push(...read.map((file) => ({ path: at, file })));
    },
    fault: (refusal) => void faults.push(refusal),
  };
  return { filled: interpolateTree(tree, hooks, path), interpolated, files, faults };
}

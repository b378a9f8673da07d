import { nearest } from "./nearest.ts";
import { type Shape, upperSnake } from "./shape.ts";
import { isMapping, lineage, type Mapping, type Path, valueAt } from "./tree.ts";

const prefix = "OPTOUT_";

export interface Override {
  path: Path;
  variable: string;
}

export interface VariableFault {
  variable: string;
  says: string;
}

/**
 * Writes every `OPTOUT_…` variable into the tree, in place. `OPTOUT_CONFIG` names the file and `OPTOUT_TEST_…` belongs
 * to the tests; any other that matches no key is a fault, for a setting believed to be made and isn't is worse than none.
 */
export function applyOverrides(
  tree: Mapping,
  env: Readonly<Record<string, string | undefined>>,
  shape: Shape,
) {
  const applied: Override[] = [];
  const faults: VariableFault[] = [];
  const found: Override[] = [];
  for (const variable of Object.keys(env).filter((one) => concernsUs(one, env))) {
    const path = pathNamed(variable, tree, shape);
    if (path) found.push({ path, variable });
    else faults.push({ variable, says: unknownVariable(variable, shape) });
  }
  for (const { path, variable } of found.sort(byPath)) {
    const says = setAt(tree, path, shape.coerceText(path, env[variable] ?? ""), applied);
    if (says === undefined) applied.push({ path, variable });
    else faults.push({ variable, says });
  }
  return { applied, faults };
}

/** The variable that set the value at a path, itself or as part of a larger one. */
export const variableOf = (applied: readonly Override[], path: Path): string | undefined =>
  applied.findLast((override) => startsWith(path, override.path))?.variable;

const startsWith = (path: Path, start: Path): boolean =>
  start.length <= path.length && start.every((segment, index) => segment === path[index]);

function concernsUs(variable: string, env: Readonly<Record<string, string | undefined>>): boolean {
  if (!variable.startsWith(prefix) || variable === "OPTOUT_CONFIG" || variable.startsWith("OPTOUT_TEST_"))
    return false;
  return env[variable] !== undefined && !isServiceLink(variable, env);
}

/**
 * Kubernetes gives every container the addresses of the namespace's services: one called `optout-relay` brings
 * `OPTOUT_RELAY_SERVICE_HOST`, `OPTOUT_RELAY_PORT` and more, which nobody meant as settings.
 */
function isServiceLink(variable: string, env: Readonly<Record<string, string | undefined>>): boolean {
  const services = Object.keys(env)
    .filter((one) => one.endsWith("_SERVICE_HOST"))
    .map((one) => one.slice(0, -"_SERVICE_HOST".length))
    .filter((service) => `${service}_SERVICE_PORT` in env);
  return services.some((service) => {
    const rest = variable.startsWith(`${service}_`) ? variable.slice(service.length + 1) : "";
    return rest === "SERVICE_HOST" || /^(SERVICE_)?PORT(_[^_].*)?$/.test(rest);
  });
}

function pathNamed(variable: string, tree: unknown, { stepNamed }: Shape): Path | undefined {
  let path: Path = [];
  for (const segment of variable.slice(prefix.length).split("__")) {
    const step = stepNamed(segment, path, tree);
    if (step === undefined) return undefined;
    path = [...path, step];
  }
  return path;
}

function unknownVariable(variable: string, { allPaths }: Shape): string {
  const candidates = allPaths.map((path) => path.map((step) => upperSnake(String(step))).join("__"));
  const indices = variable.match(/(?<=_)\d+(?=_|$)/g) ?? [];
  const asked = variable.slice(prefix.length).replace(/(?<=_)\d+(?=_|$)/g, "0");
  const meant = nearest(asked, candidates)?.replace(/(?<=_)0(?=_|$)/g, () => indices.shift() ?? "0");
  return meant
    ? `sets no key; did you mean ${prefix}${meant}?`
    : "sets no key; levels are joined by two underscores";
}

/** Parents before children, indices in order. */
function byPath(a: Override, b: Override): number {
  for (const [index, left] of a.path.entries()) {
    const right = b.path[index];
    if (right === undefined) return 1;
    if (left === right) continue;
    if (typeof left === "number" && typeof right === "number") return left - right;
    return String(left) < String(right) ? -1 : 1;
  }
  return a.path.length - b.path.length;
}

/** Sets a value, making or replacing the containers on its way. Returns what forbids it, if anything does. */
function setAt(tree: Mapping, path: Path, value: unknown, applied: readonly Override[]): string | undefined {
  for (const parent of lineage(path).slice(0, -1)) {
    const step = path[parent.length];
    const container = valueAt(tree, parent);
    if (typeof step === "number" ? !Array.isArray(container) : !isMapping(container)) {
      const rival = variableOf(applied, parent);
      if (rival) return `contradicts ${rival}: leave one of them out`;
      assign(tree, parent, typeof step === "number" ? [] : {});
    }
    const list = valueAt(tree, parent);
    if (Array.isArray(list) && typeof step === "number" && step > list.length) {
      return `the list has ${list.length} so far; the next index is ${list.length}`;
    }
  }
  assign(tree, path, value);
  return undefined;
}

/** The parent is a container already; the root always is one. */
function assign(tree: Mapping, path: Path, value: unknown): void {
  const key = path.at(-1);
  const parent = valueAt(tree, path.slice(0, -1));
  if (key !== undefined && typeof parent === "object" && parent !== null) Reflect.set(parent, key, value);
}

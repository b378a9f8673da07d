/** Plain trees of mappings, lists and scalars: what YAML, JSON and the environment give, before the schema. */

/** Keys and list indices from the root. */
export type Path = readonly (string | number)[];

export type Mapping = Record<string, unknown>;

export const isMapping = (value: unknown): value is Mapping =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `kafka.brokers[0]`; a key that is no plain word is quoted, shortened and made printable. */
export function formatPath(path: Path): string {
  let text = "";
  for (const segment of path) {
    if (typeof segment === "number") text += `[${segment}]`;
    else if (/^[A-Za-z_][\w-]{0,63}$/.test(segment)) text += text ? `.${segment}` : segment;
    else text += `[${quote(segment)}]`;
  }
  return text || "the top level";
}

/** JSON-quoted, on one line, without invisible characters, at most about 60 characters. */
export function quote(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 57)}…` : text;
  return JSON.stringify(short).replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** The value at a path; undefined if there is none. Inherited properties don't count. */
export function valueAt(tree: unknown, path: Path): unknown {
  let value = tree;
  for (const segment of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, segment)) return undefined;
    value = Reflect.get(value, segment);
  }
  return value;
}

/** The tree with another value at a path, which is there already. What isn't on the way is shared. */
export function withValueAt(tree: unknown, path: Path, value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  const child = withValueAt(valueAt(tree, [step]), rest, value);
  if (Array.isArray(tree)) return tree.with(Number(step), child);
  return isMapping(tree) ? { ...tree, [step]: child } : tree;
}

/** A set of subtrees, each named by the path of its root. */
export interface PathSet {
  add(path: Path): void;
  /** Whether the path is one of the roots or below one. */
  covers(path: Path): boolean;
}

export function createPathSet(paths: readonly Path[] = []): PathSet {
  const roots = new Set(paths.map((path) => JSON.stringify(path)));
  return {
    add: (path) => void roots.add(JSON.stringify(path)),
    covers: (path) => lineage(path).some((ancestor) => roots.has(JSON.stringify(ancestor))),
  };
}

/** The path's ancestors from the root on, itself last. */
export const lineage = (path: Path): Path[] =>
  [...path.keys(), path.length].map((length) => path.slice(0, length));

const maxDepth = 32;
const maxNodes = 100_000;

export interface Refusal {
  path: Path;
  says: string;
}

/**
 * A deep copy sharing nothing with its source (YAML aliases do share), of plain objects only. `__proto__` is left
 * out and reported; so is what is nested too deep or grows too large, such as aliases of aliases or of themselves.
 */
export function copyTree(source: unknown): { tree: unknown; refused: Refusal[] } {
  const refused: Refusal[] = [];
  let nodes = 0;
  let exhausted = false;

  const refuse = (path: Path, says: string): undefined => void refused.push({ path, says });

  const copy = (value: unknown, path: Path): unknown => {
    if (typeof value !== "object" || value === null) return value;
    if (exhausted) return undefined;
    exhausted = ++nodes > maxNodes || path.length > maxDepth;
    if (nodes > maxNodes) return refuse([], `the configuration has more than ${maxNodes} parts`);
    if (path.length > maxDepth) return refuse(path, `nested deeper than ${maxDepth} levels`);
    if (Array.isArray(value)) return value.map((item, index) => copy(item, [...path, index]));
    const target: Mapping = {};
    for (const [key, item] of Object.entries(value)) {
      if (key === "__proto__") refuse([...path, key], "this key is not allowed anywhere");
      else if (item !== undefined) target[key] = copy(item, [...path, key]);
    }
    return target;
  };

  return { tree: copy(source, []), refused };
}

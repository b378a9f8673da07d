/** Questions about a schema, answered from its JSON Schema, a plain tree, rather than from zod's insides. */
import { z } from "zod";
import { copyTree, isMapping, lineage, type Path, valueAt } from "./tree.ts";

type Node = z.core.JSONSchema.JSONSchema;

/** What a schema allows where. */
export interface Shape {
  /** Paths of every key; `0` stands for any index of a list. Keys of records aren't known and so not among them. */
  readonly allPaths: readonly Path[];
  /** The keys allowed in the mapping at a path, given what the tree holds; every alternative's if none suits. */
  knownKeys(path: Path, tree: unknown): string[];
  /** For a key that isn't allowed here, but is in another alternative: what would choose that one, such as "dialect: fax". */
  chooserOf(path: Path, tree: unknown): string | undefined;
  /** True where only a mapping, or a list of them, belongs: text found there may be anything, secrets included. */
  isStructure(path: Path): boolean;
  /**
   * Text from an environment variable or file as the type the schema wants at the path: a number, a boolean, a comma
   * list, JSON for a mapping or list. Where it can't be one it stays text, for the schema to refuse.
   */
  coerceText(path: Path, value: string): unknown;
  /**
   * The key or index that one level of an environment variable's name means below a path, if any. A record's key is the
   * one already in the tree that reads the same in capitals, else the name in lower case.
   */
  stepNamed(segment: string, path: Path, tree: unknown): string | number | undefined;
}

const shapes = new WeakMap<z.ZodType, Shape>();

export function shapeOf(schema: z.ZodType): Shape {
  const shape = shapes.get(schema) ?? createShape(z.toJSONSchema(schema, { io: "input" }));
  shapes.set(schema, shape);
  return shape;
}

function createShape(root: Node): Shape {
  /** What the schema allows at a path: none if it doesn't exist, several if there are alternatives. */
  const nodesAt = (path: Path): Node[] => path.reduce<Node[]>(childrenOf, alternatives(root));
  /** As `nodesAt`, less the alternatives that the tree's values rule out on the way. */
  const nodesFor = (path: Path, tree: unknown): Node[] =>
    path.reduce<Node[]>(
      (nodes, step, index) => suitable(childrenOf(nodes, step), valueAt(tree, path.slice(0, index + 1))),
      suitable(alternatives(root), tree),
    );
  return {
    allPaths: pathsBelow([], alternatives(root)),
    knownKeys: (path, tree) => keysOf(nodesFor(path, tree)),
    chooserOf(path, tree) {
      for (const at of lineage(path).slice(0, -1)) {
        const rest = path.slice(at.length);
        const owner = nodesAt(at).find((node) => rest.reduce<Node[]>(childrenOf, [node]).length > 0);
        const choice = owner && conflictOf(owner, valueAt(tree, at));
        if (choice !== undefined) return choice;
      }
      return undefined;
    },
    isStructure(path) {
      const nodes = nodesAt(path);
      return nodes.length > 0 && nodes.every((node) => node.type === "object" || isListOf(node, "object"));
    },
    coerceText: (path, value) => coerceTo(nodesAt(path), value),
    stepNamed: (segment, path, tree) => stepBelow(nodesAt(path), segment, valueAt(tree, path)),
  };
}

const isNode = (node: unknown): node is Node => isMapping(node);

/** A node itself, or the alternatives it stands for. */
const alternatives = (node: Node): Node[] =>
  (node.anyOf ?? node.oneOf ?? [node]).flatMap((one) => (one === node ? [one] : alternatives(one)));

/** One step down: a key of an object or of a record, or an index of a list. */
function childrenOf(nodes: readonly Node[], segment: string | number): Node[] {
  const children = nodes.map((node) => {
    if (typeof segment === "number") return node.items;
    const { properties = {}, additionalProperties } = node;
    return Object.hasOwn(properties, segment) ? properties[segment] : additionalProperties;
  });
  return children.filter(isNode).flatMap(alternatives);
}

/** The nodes that a value may be meant for; all of them if it suits none. */
function suitable(nodes: Node[], value: unknown): Node[] {
  const fitting = nodes.filter((node) => suits(node, value));
  return fitting.length > 0 ? fitting : nodes;
}

const suits = (node: Node, value: unknown): boolean => conflictOf(node, value) === undefined;

/** A fixed value of the node (a union's discriminator) by which `value` is meant for another alternative, as `key: fixed`. */
function conflictOf(node: Node, value: unknown): string | undefined {
  for (const [key, property] of Object.entries(node.properties ?? {})) {
    if (!isNode(property)) continue;
    const fixed = property.const === undefined ? property.enum : [property.const];
    const actual = valueAt(value, [key]);
    const fits = typeof actual === "string" ? fixed?.includes(actual) : !isRequired(node, key);
    if (fixed !== undefined && !fits) return `${key}: ${fixed[0]}`;
  }
  return undefined;
}

const isRequired = (node: Node, key: string): boolean => node.required?.includes(key) ?? false;

const keysOf = (nodes: readonly Node[]): string[] => [
  ...new Set(nodes.flatMap((node) => Object.keys(node.properties ?? {}))),
];

const isListOf = (node: Node, type: string): boolean =>
  node.type === "array" && isNode(node.items) && alternatives(node.items).some((item) => item.type === type);

function coerceTo(nodes: readonly Node[], value: string): unknown {
  const wants = (...types: string[]): boolean =>
    nodes.some((node) => typeof node.type === "string" && types.includes(node.type));
  if (wants("boolean") && (value === "true" || value === "false")) return value === "true";
  if (wants("integer", "number") && /^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  if (wants("object", "array") && /^\s*[[{]/.test(value)) return parseJson(value) ?? value;
  if (!nodes.some((node) => isListOf(node, "string"))) return value;
  return value
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function parseJson(value: string): unknown {
  try {
    const { tree, refused } = copyTree(JSON.parse(value));
    return refused.length === 0 ? tree : undefined;
  } catch {
    return undefined;
  }
}

const isRecord = (node: Node): boolean => isNode(node.additionalProperties);

/** How one level of a variable's name is written: `clientSecret` is `CLIENT_SECRET`. */
export const upperSnake = (key: string): string =>
  key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

function stepBelow(nodes: readonly Node[], segment: string, value: unknown): string | number | undefined {
  const key = keysOf(nodes).find((one) => upperSnake(one) === segment);
  if (key !== undefined) return key;
  if (/^(0|[1-9]\d{0,3})$/.test(segment) && nodes.some((node) => node.items)) return Number(segment);
  if (!segment || !nodes.some(isRecord)) return undefined;
  return (
    Object.keys(value ?? {}).find((one) => one.toUpperCase().replace(/[^A-Z0-9]/g, "_") === segment) ??
    segment.toLowerCase()
  );
}

function pathsBelow(path: Path, nodes: readonly Node[]): Path[] {
  const steps: (string | number)[] = keysOf(nodes);
  if (nodes.some((node) => node.items)) steps.push(0);
  return steps.flatMap((step) => [[...path, step], ...pathsBelow([...path, step], childrenOf(nodes, step))]);
}

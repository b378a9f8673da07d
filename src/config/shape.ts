/** Questions about the schema, answered from its JSON Schema, a plain tree, rather than from zod's insides. */
import { z } from "zod";
import { configSchema } from "./schema.ts";
import { copyTree, isMapping, type Path, valueAt } from "./tree.ts";

export type Node = z.core.JSONSchema.JSONSchema;

const root: Node = z.toJSONSchema(configSchema, { io: "input" });

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

/** What the schema allows at a path: none if it doesn't exist, several if there are alternatives. */
const nodesAt = (path: Path): Node[] => path.reduce<Node[]>(childrenOf, alternatives(root));

/** False if a fixed value of the node (a union's discriminator) says that `value` is meant for another alternative. */
function suits(node: Node, value: unknown): boolean {
  return Object.entries(node.properties ?? {}).every(([key, property]) => {
    const actual = valueAt(value, [key]);
    if (typeof actual !== "string" || !isNode(property)) return true;
    const fixed = property.const === undefined ? property.enum : [property.const];
    return fixed === undefined || fixed.includes(actual);
  });
}

/** The keys allowed in the mapping at a path, given what it holds; every alternative's if none suits. */
export function knownKeys(path: Path, tree: unknown): string[] {
  const nodes = nodesAt(path).filter((node) => node.properties);
  const suitable = nodes.filter((node) => suits(node, valueAt(tree, path)));
  return [
    ...new Set(
      (suitable.length > 0 ? suitable : nodes).flatMap((node) => Object.keys(node.properties ?? {})),
    ),
  ];
}

/** True where only a mapping, or a list of them, belongs: text found there may be anything, secrets included. */
export function isStructure(path: Path): boolean {
  const nodes = nodesAt(path);
  return nodes.length > 0 && nodes.every((node) => node.type === "object" || isListOf(node, "object"));
}

const isListOf = (node: Node, type: string): boolean =>
  node.type === "array" && isNode(node.items) && alternatives(node.items).some((item) => item.type === type);

/**
 * Text from an environment variable or file as the type the schema wants at the path: a number, a boolean, a comma
 * list, JSON for a mapping or list. Where it can't be one it stays text, for the schema to refuse.
 */
export function coerceText(path: Path, value: string): unknown {
  const nodes = nodesAt(path);
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

/**
 * The key or index that one level of an environment variable's name means below a path, if any. A record's key is the
 * one already in the tree that reads the same in capitals, else the name in lower case.
 */
export function stepNamed(segment: string, path: Path, tree: unknown): string | number | undefined {
  const nodes = nodesAt(path);
  const key = nodes
    .flatMap((node) => Object.keys(node.properties ?? {}))
    .find((one) => upperSnake(one) === segment);
  if (key !== undefined) return key;
  if (/^(0|[1-9]\d{0,3})$/.test(segment) && nodes.some((node) => node.items)) return Number(segment);
  if (!segment || !nodes.some(isRecord)) return undefined;
  const present = Object.keys(valueAt(tree, path) ?? {});
  return (
    present.find((one) => one.toUpperCase().replace(/[^A-Z0-9]/g, "_") === segment) ?? segment.toLowerCase()
  );
}

function pathsBelow(path: Path, nodes: readonly Node[]): Path[] {
  const keys = new Set(nodes.flatMap((node) => Object.keys(node.properties ?? {})));
  const steps: (string | number)[] = [...keys];
  if (nodes.some((node) => node.items)) steps.push(0);
  return steps.flatMap((step) => [[...path, step], ...pathsBelow([...path, step], childrenOf(nodes, step))]);
}

/** Paths of every key; `0` stands for any index of a list. Keys of records aren't known and so not among them. */
export const allPaths: readonly Path[] = pathsBelow([], alternatives(root));

import { z } from "zod";
import { configSchema } from "./schema.ts";
import { isMapping, type Mapping } from "./tree.ts";

const reference = {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax being described
  description: "${NAME} takes an environment variable, ${file:/path} a file's content.",
  type: "string",
  pattern: "\\$\\{",
};

/**
 * The published JSON Schema of a configuration file (draft 2020-12): its keys, defaults and forms, as people write
 * them. Any value may also be a text with `${…}`. Contradictions between keys are beyond it.
 */
export function configJsonSchema(): Mapping {
  const { $schema, ...schema } = z.toJSONSchema(configSchema, { io: "input" });
  return { $schema, title: "Optout Relay configuration", ...withReferences(schema), $defs: { reference } };
}

/** The keywords that describe a key; the rest constrains its value. */
const annotations = new Set(["description", "default"]);

function withReferences(node: Mapping): Mapping {
  const result: Mapping = {};
  for (const [key, value] of Object.entries(node)) {
    if (key === "properties" && isMapping(value)) {
      result[key] = Object.fromEntries(
        Object.entries(value).map(([name, child]) => [name, orReference(child)]),
      );
    } else if (key === "items" || key === "additionalProperties") result[key] = orReference(value);
    // One of a union's alternatives: anyOf, as a reference for its discriminator would match every one.
    else if (key === "oneOf" || key === "anyOf") result.anyOf = alternativesOf(value);
    else result[key] = value;
  }
  return result;
}

const alternativesOf = (value: unknown): unknown =>
  Array.isArray(value) ? value.map((one: unknown) => (isMapping(one) ? withReferences(one) : one)) : value;

function orReference(child: unknown): unknown {
  if (!isMapping(child)) return child;
  const entries = Object.entries(withReferences(child));
  const constraint = Object.fromEntries(entries.filter(([key]) => !annotations.has(key)));
  const description = Object.fromEntries(entries.filter(([key]) => annotations.has(key)));
  const alternatives = Array.isArray(constraint.anyOf) ? constraint.anyOf : [constraint];
  return { ...description, anyOf: [...alternatives, { $ref: "#/$defs/reference" }] };
}

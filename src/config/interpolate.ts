import { messageOf } from "../errors.ts";
import { readText } from "./read-text.ts";
import { isMapping, type Path, type Refusal } from "./tree.ts";

type Environment = Readonly<Record<string, string | undefined>>;

interface Interpolated {
  text: string;
  /** Whether anything from outside is now in the text, which makes it a possible secret. */
  substituted: boolean;
  /** Those whose content is now in the text. */
  files: string[];
  faults: string[];
}

/**
 * Replaces `${NAME}` by an environment variable and `${file:/path}` by a file's content less one trailing line break;
 * `$${` is a literal `${`. What is put in is not looked at again. Faults never quote the text, which may be a secret.
 */
export function interpolateText(text: string, env: Environment): Interpolated {
  const faults: string[] = [];
  const files: string[] = [];
  let substituted = false;
  const result = text.replace(
    /\$\$\{|\$\{([^}]*)(\}?)/g,
    (whole: string, reference?: string, end?: string) => {
      if (reference === undefined) return "${";
      const { value, file, fault } = end ? resolve(reference, env) : { fault: unfinished };
      if (fault !== undefined) faults.push(fault);
      else substituted = true;
      if (file !== undefined) files.push(file);
      return value ?? whole;
    },
  );
  return { text: result, substituted, files, faults };
}

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: the syntax being explained
const forms = "write ${NAME} or ${file:/path}, or $${ for a literal ${";
const unfinished = `a \${ without its }: ${forms}`;
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: the syntax being explained

interface Resolved {
  value?: string;
  /** Where the value is from. */
  file?: string;
  fault?: string;
}

function resolve(reference: string, env: Environment): Resolved {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(reference)) {
    const value = Object.hasOwn(env, reference) ? env[reference] : undefined;
    return value === undefined ? { fault: `the environment variable ${reference} is not set` } : { value };
  }
  if (!reference.startsWith("file:"))
    return { fault: `a \${…} that is neither a variable nor a file: ${forms}` };
  const path = reference.slice("file:".length);
  if (!path.startsWith("/")) return { fault: "the path of a file reference must be absolute: file:/path" };
  try {
    return { value: readText(path, { regularOnly: true }).replace(/\r?\n$/, ""), file: path };
  } catch (error) {
    return { fault: messageOf(error) };
  }
}

export interface InterpolationHooks {
  env: Environment;
  /** Subtrees to leave as they are. */
  skip: (path: Path) => boolean;
  /** What a text that took something in becomes: still text, or the number it was meant to be. */
  convert: (path: Path, text: string) => unknown;
  /** `files` are those that the text took something from. */
  substituted: (path: Path, files: readonly string[]) => void;
  fault: (refusal: Refusal) => void;
}

/** Interpolates every string value of a tree, never a key. Returns a new tree; a string with a fault stays as it was. */
export function interpolateTree(tree: unknown, hooks: InterpolationHooks, path: Path = []): unknown {
  if (hooks.skip(path)) return tree;
  if (typeof tree === "string") {
    const { text, substituted, files, faults } = interpolateText(tree, hooks.env);
    for (const says of faults) hooks.fault({ path, says });
    if (faults.length > 0) return tree;
    if (!substituted) return text;
    hooks.substituted(path, files);
    return hooks.convert(path, text);
  }
  if (Array.isArray(tree)) return tree.map((item, index) => interpolateTree(item, hooks, [...path, index]));
  if (!isMapping(tree)) return tree;
  return Object.fromEntries(
    Object.entries(tree).map(([key, item]) => [key, interpolateTree(item, hooks, [...path, key])]),
  );
}

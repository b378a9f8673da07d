import type { AnyConfig } from "./schema.ts";
import { isMapping, type Path, type PathSet, quote } from "./tree.ts";

export const mask = "***";

/** True of a key that by its name may hold a secret. Addresses of token endpoints aren't, and matter in messages. */
export const soundsSecret = (key: string): boolean =>
  /pass|pwd|^pw$|secret|token|credential|private|api[_-]?keys?$/i.test(key) && !/^token_?url$/i.test(key);

export const isSecretPath = (path: Path): boolean =>
  path.some((step) => typeof step === "string" && soundsSecret(step));

/** A value in a message: on one line, short, and never the content of a mapping or list. */
export function show(value: unknown): string {
  if (typeof value === "string") return quote(withoutCredentials(value));
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "a mapping";
  return String(value);
}

/** Up to the last @, as a password pasted into a URL may hold any character; a query may hold a key. */
function withoutCredentials(text: string): string {
  // If it isn't the first one that such a URL begins at, it is none of them: to look further takes quadratic time.
  const start = text.indexOf("://");
  if (start < 0) return text;
  const afterScheme = start + "://".length;
  const rest = text.slice(afterScheme).replace(/^.*@/su, `${mask}@`);
  return text.slice(0, afterScheme) + rest.replace(/^([^?]*\?).+/su, `$1${mask}`);
}

const interpolatedOf = new WeakMap<AnyConfig, PathSet>();

/** Remembers which parts of a configuration came from outside the file, for `redactConfig`. */
export const rememberInterpolated = (config: AnyConfig, paths: PathSet): void =>
  void interpolatedOf.set(config, paths);

/**
 * A copy to print when debugging: passwords, secrets, tokens and API keys are `***`, and so is all that `${…}` put in,
 * as long as it's given the very object that `loadConfig` or `parseConfig` returned.
 */
export function redactConfig(config: AnyConfig): unknown {
  const interpolated = interpolatedOf.get(config);
  const redact = (value: unknown, path: Path): unknown => {
    if (Array.isArray(value)) return value.map((item, index) => redact(item, [...path, index]));
    if (isMapping(value)) {
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, redact(item, [...path, key])]),
      );
    }
    return isSecretPath(path) || interpolated?.covers(path) ? mask : value;
  };
  return redact(config, []);
}

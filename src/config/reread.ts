import { isDeepStrictEqual } from "node:util";
import type { Logger } from "../observability/logger.ts";
import { createPathSet, formatPath, type Path, valueAt } from "./tree.ts";

/** A configuration of which one part was read again. */
export interface Rereading {
  /** Validated as a whole; undefined if there are problems. */
  config: unknown;
  /** A line each, without secrets. */
  problems: readonly string[];
}

/** What a configuration was made of. */
export interface Origin {
  /** Where the content of files went, by `${file:…}`. */
  files: readonly { path: Path; file: string }[];
  /** Reads the files of the part at `path` again; everything else stays as it was. */
  reread(path: Path): Rereading;
}

const originOf = new WeakMap<object, Origin>();

/** Remembers what a configuration was made of, for `rereadable`. */
export const rememberOrigin = (config: object, origin: Origin): void => void originOf.set(config, origin);

type PartAt<Tree, P extends Path> = P extends readonly [infer Step, ...infer Rest extends Path]
  ? Step extends keyof NonNullable<Tree>
    ? PartAt<NonNullable<Tree>[Step], Rest>
    : never
  : Tree;

/**
 * The part of a configuration at `path`, as a function that reads the part's `${file:…}` references again each time:
 * a secret may be rotated while the process runs. While a file is missing, unreadable or makes the configuration
 * invalid (it may be half written), the last good value is given, and the log says so once.
 *
 * It has to be given the very object that `loadConfig` or `parseConfig` returned; the part of any other never changes.
 */
export function rereadable<Config extends object, const P extends Path>(
  config: Config,
  path: P,
  logger: Logger,
): () => PartAt<Config, P> {
  const origin = originOf.get(config);
  const { covers } = createPathSet([path]);
  const read = (origin?.files ?? []).filter((each) => covers(each.path));
  const about = { key: formatPath(path), files: [...new Set(read.map(({ file }) => file))] };
  let last = valueAt(config, path);
  let complaint = "";

  const refresh = ({ config: fresh, problems }: Rereading): void => {
    if (problems.length > 0) {
      const before = complaint;
      complaint = problems.join("\n");
      if (complaint === before) return;
      logger.warn(
        { ...about, problems },
        "what these files hold now can't be used; the value read before stays in use",
      );
      return;
    }
    const value = valueAt(fresh, path);
    if (complaint === "" && isDeepStrictEqual(value, last)) return;
    complaint = "";
    last = value;
    logger.info(about, "read again from its files");
  };

  return () => {
    if (origin !== undefined && read.length > 0) refresh(origin.reread(path));
    // Both came out of one schema, so the part has the type it had.
    return last as PartAt<Config, P>;
  };
}

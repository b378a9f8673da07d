import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** This package's folder: the nearest one upwards with a package.json, whether run from `dist` or compiled tests. */
function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("this package has no package.json");
    folder = parent;
  }
  return folder;
}

/** Text of a file that ships with the package, by its path within it. */
export const readPackageFile = (path: string): string => readFileSync(join(packageFolder(), path), "utf8");

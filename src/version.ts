import { readPackageFile } from "./package-files.ts";

/** The version of this package, from its package.json. */
export const VERSION: string = JSON.parse(readPackageFile("package.json")).version;

import { rename, writeFile } from "node:fs/promises";

/** In one step, as secrets are to be rotated: whoever reads it meanwhile has the old text, or the new one. */
export async function replaceFile(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

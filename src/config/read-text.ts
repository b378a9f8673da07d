import { closeSync, openSync, readSync, statSync } from "node:fs";
import { messageOf } from "../errors.ts";
import { quote } from "./tree.ts";

const maxBytes = 1_048_576;

const explanations: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "this user may not read it",
  EPERM: "this user may not read it",
  EISDIR: "it is a folder",
  ELOOP: "its symbolic links lead in a circle",
};

/** Why a file couldn't be read, in words. */
export function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return explanations[code] ?? messageOf(error);
}

/**
 * The UTF-8 text of a file of at most 1 MiB. Throws an Error that names the file and what is wrong with it.
 * A pipe (`--config <(…)`) is read to its end, unless `regularOnly` says that the path must be a file proper.
 */
export function readText(path: string, { regularOnly = false } = {}): string {
  const cannot = (why: string): Error => new Error(`cannot read ${quote(path)}: ${why}`);
  let content: Buffer;
  try {
    content = readBounded(path, regularOnly);
  } catch (error) {
    throw cannot(whyUnreadable(error));
  }
  if (content.length > maxBytes) throw cannot("it is larger than 1 MiB");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    throw cannot("it is not UTF-8 text");
  }
}

/** One byte more than the limit at most, whatever the file's size claims to be. */
function readBounded(path: string, regularOnly: boolean): Buffer {
  // Asked before opening, for opening a pipe that nobody writes to would wait forever.
  const stat = statSync(path);
  if (stat.isDirectory()) throw new Error("it is a folder");
  if (!stat.isFile() && (regularOnly || !stat.isFIFO())) throw new Error("it is not a regular file");
  const descriptor = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(maxBytes + 1);
    let length = 0;
    while (length < buffer.length) {
      const read = readSync(descriptor, buffer, length, buffer.length - length, null);
      if (read === 0) break;
      length += read;
    }
    return buffer.subarray(0, length);
  } finally {
    closeSync(descriptor);
  }
}

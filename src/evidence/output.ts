import { createHash } from "node:crypto";
import { once } from "node:events";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import type { Writable } from "node:stream";
import { messageOf, OptoutError } from "../errors.ts";

/** Where a report goes, piece by piece. */
export interface Output {
  write(text: string): Promise<void>;
  /** Nothing is in the file before. Rejects with an OptoutError `usage` if it can't be written. */
  finish(): Promise<Written>;
  /** Leaves no file. Does nothing after `finish`. */
  discard(): Promise<void>;
}

export interface Written {
  bytes: number;
  /** Hex. */
  sha256: string;
}

const BUFFERED = 64 * 1024;

/** Gathers small pieces, and keeps count. */
function createBuffered(sink: (text: string) => Promise<void>): {
  write(text: string): Promise<void>;
  flush(): Promise<Written>;
} {
  const hash = createHash("sha256");
  let bytes = 0;
  let waiting: string[] = [];
  let length = 0;
  const drain = async (): Promise<void> => {
    const text = waiting.join("");
    waiting = [];
    length = 0;
    if (text === "") return;
    hash.update(text);
    bytes += Buffer.byteLength(text);
    await sink(text);
  };
  return {
    async write(text) {
      waiting.push(text);
      length += text.length;
      if (length >= BUFFERED) await drain();
    },
    async flush() {
      await drain();
      return { bytes, sha256: hash.digest("hex") };
    },
  };
}

/** Waits for whoever reads slowly. One that left (`| head`) has had enough. */
export function createStreamOutput(stream: Writable): Output {
  const buffered = createBuffered(async (text) => {
    if (stream.destroyed || stream.errored !== null || stream.write(text)) return;
    await Promise.race([once(stream, "drain"), once(stream, "close")]).catch(() => {});
  });
  return { write: buffered.write, finish: buffered.flush, discard: async () => {} };
}

/**
 * The report has its name only when it is whole, and only its owner may read it. Rejects with an OptoutError `usage` if the
 * folder can't be written to.
 */
export async function createFileOutput(path: string): Promise<Output> {
  const partial = `${path}.partial`;
  const saying = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw new OptoutError(
        "usage",
        `The report can't be written to "${path}": ${messageOf(error)}. Name another file with --output.`,
        { cause: error },
      );
    }
  };
  const file: FileHandle = await saying(() => open(partial, "w", 0o600));
  const buffered = createBuffered((text) => saying(() => file.writeFile(text)));
  let isOpen = true;
  return {
    write: buffered.write,
    async finish() {
      const written = await buffered.flush();
      await saying(async () => {
        await file.sync();
        await file.close();
        isOpen = false;
        await rename(partial, path);
      });
      return written;
    },
    async discard() {
      if (isOpen) await file.close().catch(() => {});
      isOpen = false;
      await rm(partial, { force: true });
    },
  };
}

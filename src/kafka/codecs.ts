import { promisify } from "node:util";
import zlib from "node:zlib";
import { Decompress } from "fzstd";
import kafkajs from "kafkajs";
import { compress as snappyCompress, uncompress as snappyUncompress } from "snappyjs";
import { messageOf } from "../errors.ts";
import { decompressLz4 } from "./lz4.ts";

const { CompressionCodecs, CompressionTypes } = kafkajs;

/** Far above any real batch (brokers take 1 MiB compressed by default), and far below what would exhaust memory. */
export const MAX_DECOMPRESSED_BYTES = 64 * 1024 * 1024;

/** What the reference decoder allows too, and what its highest level asks for: it is allocated before any output. */
const MAX_ZSTD_WINDOW = 2 ** 27;

type Decompressor = (compressed: Buffer, limit: number) => Buffer | Promise<Buffer>;

/** What kafkajs asks of a codec: an encoder holds the bytes of a batch's records. */
interface Codec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(compressed: Buffer): Promise<Buffer>;
}

/**
 * Teaches kafkajs every compression a producer may have chosen, because a batch it can't read ends its consumer.
 * kafkajs keeps codecs for the whole process; doing it twice is harmless.
 */
export function registerCodecs(): void {
  CompressionCodecs[CompressionTypes.GZIP] = () => codec("gzip", gunzip, promisify(zlib.gzip));
  CompressionCodecs[CompressionTypes.Snappy] = () =>
    codec("snappy", decompressSnappy, async (records) => snappyCompress(records));
  CompressionCodecs[CompressionTypes.LZ4] = () => codec("lz4", decompressLz4);
  CompressionCodecs[CompressionTypes.ZSTD] = () => codec("zstd", decompressZstd);
}

/**
 * Errors leave as plain ones: kafkajs takes a RangeError or TypeError (what zlib and Buffer throw on damaged or oversized
 * input) for a programming error and ends the consumer for good, where any other is retried and shown.
 */
export function codec(
  name: string,
  decompress: Decompressor,
  compress?: (records: Buffer) => Promise<Buffer>,
  limit = MAX_DECOMPRESSED_BYTES,
): Codec {
  return {
    async compress({ buffer }) {
      if (compress === undefined)
        throw new Error(`Compressing with ${name} is not supported, reading it is.`);
      return compress(buffer);
    },
    async decompress(compressed) {
      try {
        return await decompress(compressed, limit);
      } catch (error) {
        throw new Error(`A record batch compressed with ${name} can't be read: ${messageOf(error)}`);
      }
    },
  };
}

const unzip = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.unzip);

export const gunzip: Decompressor = (compressed, limit) => unzip(compressed, { maxOutputLength: limit });

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);

/** Snappy as Java producers frame it (snappy-java's stream: magic, two versions, then sized blocks), or one bare block. */
export const decompressSnappy: Decompressor = (compressed, limit) => {
  if (!compressed.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) {
    return snappyUncompress(compressed, limit);
  }
  const blocks: Buffer[] = [];
  let total = 0;
  for (let at = XERIAL_MAGIC.length + 8; at < compressed.length; ) {
    const size = compressed.readInt32BE(at);
    const end = at + 4 + size;
    if (size < 0 || end > compressed.length) throw new Error("a snappy block is cut short");
    const block = snappyUncompress(compressed.subarray(at + 4, end), limit - total);
    blocks.push(block);
    total += block.length;
    at = end;
  }
  return Buffer.concat(blocks, total);
};

/** Node's own zstd (Node 22.15 and later) where there is one; it is some ten times faster. */
export const decompressZstd: Decompressor = (compressed, limit) => {
  const native: unknown = Reflect.get(zlib, "zstdDecompress");
  if (typeof native !== "function") return decompressZstdWithoutNode(compressed, limit);
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: Buffer): void => (error ? reject(error) : resolve(result));
    Reflect.apply(native, zlib, [compressed, { maxOutputLength: limit }, done]);
  });
};

export const decompressZstdWithoutNode: Decompressor = (compressed, limit) => {
  if (zstdWindow(compressed) > MAX_ZSTD_WINDOW) {
    throw new Error(`needs a window of more than ${MAX_ZSTD_WINDOW} bytes`);
  }
  const chunks: Uint8Array[] = [];
  let total = 0;
  const stream = new Decompress((chunk) => {
    total += chunk.length;
    if (total > limit) throw new Error(`decompresses to more than ${limit} bytes`);
    // The decoder may reuse what it handed out.
    chunks.push(Buffer.from(chunk));
  });
  stream.push(compressed, true);
  return Buffer.concat(chunks, total);
};

/** The window a zstd frame asks its decoder to allocate at once, in bytes (RFC 8878, 3.1.1.1). */
function zstdWindow(frame: Buffer): number {
  const descriptor = frame.readUInt8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  if (!singleSegment) {
    const window = frame.readUInt8(5);
    return 2 ** (10 + (window >> 3)) * (1 + (window & 7) / 8);
  }
  const at = 5 + ([0, 1, 2, 4][descriptor & 3] ?? 0);
  const width = descriptor >> 6;
  if (width === 0) return frame.readUInt8(at);
  if (width === 1) return frame.readUInt16LE(at) + 256;
  return width === 2 ? frame.readUInt32LE(at) : Number(frame.readBigUInt64LE(at));
}

import { decompressBlock } from "lz4js";

// The LZ4 frame format, version 1.6.x: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
// lz4js decodes blocks well, but its frame reader puts block checksums in the wrong place, knows a single frame only,
// and sizes its buffer from what the frame claims.
const MAGIC = 0x184d2204;
const FLAG = { contentChecksum: 0x04, contentSize: 0x08, blockChecksum: 0x10, dictionary: 0x01 };
const STORED = 0x80000000;
const MAX_BLOCK: Record<number, number> = { 4: 1 << 16, 5: 1 << 18, 6: 1 << 20, 7: 1 << 22 };

interface Block {
  start: number;
  size: number;
  stored: boolean;
}

interface Frames {
  blocks: Block[];
  /** No less than what the blocks decompress to. */
  bound: number;
}

/** Decodes the LZ4 frames of a record batch. Checksums are not verified: the batch has its own. */
export function decompressLz4(source: Buffer, limit: number): Buffer {
  const { blocks, bound } = readFrames(source);
  const target = Buffer.alloc(Math.min(bound, limit));
  let at = 0;
  for (const { start, size, stored } of blocks) {
    at = stored
      ? at + source.copy(target, at, start, start + size)
      : decompressBlock(source, target, start, size, at);
    // Writes past the end of a typed array are dropped silently, so the position tells.
    if (at > target.length) throw new Error(`decompresses to more than ${limit} bytes`);
  }
  return target.subarray(0, at);
}

function readFrames(source: Buffer): Frames {
  const frames: Frames = { blocks: [], bound: 0 };
  let at = 0;
  while (at < source.length) at = readFrame(source, at, frames);
  return frames;
}

function readFrame(source: Buffer, from: number, frames: Frames): number {
  if (source.readUInt32LE(from) !== MAGIC) throw new Error("does not start as an LZ4 frame");
  const flags = source.readUInt8(from + 4);
  const maxBlock = MAX_BLOCK[(source.readUInt8(from + 5) >> 4) & 7];
  if (flags >> 6 !== 1 || maxBlock === undefined) throw new Error("has an LZ4 frame of an unknown version");
  let at = from + 7 + (flags & FLAG.contentSize ? 8 : 0) + (flags & FLAG.dictionary ? 4 : 0);
  const trailer = flags & FLAG.blockChecksum ? 4 : 0;
  for (;;) {
    const header = source.readUInt32LE(at);
    at += 4;
    if (header === 0) return at + (flags & FLAG.contentChecksum ? 4 : 0);
    const block = { start: at, size: header % STORED, stored: header >= STORED };
    if (block.start + block.size > source.length) throw new Error("has an LZ4 frame that is cut short");
    frames.blocks.push(block);
    frames.bound += block.stored ? block.size : maxBlock;
    at += block.size + trailer;
  }
}

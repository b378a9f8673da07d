import assert from "node:assert/strict";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import kafkajs, { type CompressionTypes as Compression, type Message } from "kafkajs";
import { compress as lz4 } from "lz4js";
import { compress as snappy } from "snappyjs";
import { decompressZstdWithoutNode } from "../../src/kafka/codecs.ts";
import { phoneOf } from "./scenario.ts";

const { CompressionCodecs, CompressionTypes } = kafkajs;

interface Codec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(compressed: Buffer): Promise<Buffer>;
}

/** The magic, flags with independent blocks, blocks of 4 MiB, and the checksum of these. */
const LZ4_HEADER = Buffer.from("04224d18607073", "hex");

/** lz4js doesn't set the flag for independent blocks, without which a broker refuses the batch; it writes one block. */
const lz4Frame = (records: Buffer): Buffer =>
  Buffer.concat([LZ4_HEADER, lz4(records).subarray(LZ4_HEADER.length)]);

/** Node 20 can't write zstd: what the command line (1.5) made of the records of exactly these messages. */
export const ZSTD_MESSAGES: Message[] = Array.from({ length: 10 }, (_, index) => ({
  key: phoneOf(3_000 + index),
  value: `{"phone":"${phoneOf(3_000 + index)}","source":"ivr"}`,
}));
const ZSTD_FRAME = Buffer.from(
  "KLUv/QBoBQQA0sQRF4DPAWv4BnLZTLW9SGlXBA91M5MESVAZ7oj70fsG6xe/TrhtQ9MmdAfdAOLDLN8VOc+aqlwymXyk" +
    "CaISa9y3qjIvr5Ig4gsiqEF9gWYW62ewIzUGcY0R1oQbATUY1zGofFbItPIrlS/FHGxvqaK+CLHvGrwt+s6/FI96TQ0=",
  "base64",
);

async function zstdFrame(records: Buffer): Promise<Buffer> {
  const content = await decompressZstdWithoutNode(ZSTD_FRAME, 1_000_000);
  assert.deepEqual(content, records, "the zstd frame is of other records");
  return ZSTD_FRAME;
}

const COMPRESSORS: [Compression, (records: Buffer) => Buffer | Promise<Buffer>][] = [
  [CompressionTypes.GZIP, promisify<Buffer, Buffer>(gzip)],
  [CompressionTypes.Snappy, snappy],
  [CompressionTypes.LZ4, lz4Frame],
  [CompressionTypes.ZSTD, zstdFrame],
];

/**
 * Teaches this process's kafkajs to write every compression as other producers do. Call it when every client has been
 * created, since creating one registers the product's own. Answers how many batches were read in each.
 */
export function registerCompressors(): Map<Compression, number> {
  const codecs: Record<number, () => Codec> = CompressionCodecs;
  const reads = new Map<Compression, number>();
  for (const [type, compress] of COMPRESSORS) {
    const current = codecs[type];
    if (current === undefined) throw new Error(`kafkajs has no codec ${type}`);
    const { decompress } = current();
    const codec: Codec = {
      compress: async ({ buffer }) => compress(buffer),
      decompress(compressed) {
        reads.set(type, (reads.get(type) ?? 0) + 1);
        return decompress(compressed);
      },
    };
    codecs[type] = () => codec;
  }
  return reads;
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { promisify } from "node:util";
import zlib from "node:zlib";
import kafkajs from "kafkajs";
import { compress as lz4Compress } from "lz4js";
import { compress as snappyCompress } from "snappyjs";
import {
  codec,
  decompressSnappy,
  decompressZstd,
  decompressZstdWithoutNode,
  gunzip,
  registerCodecs,
} from "../../src/kafka/codecs.ts";
import { decompressLz4 } from "../../src/kafka/lz4.ts";

const LIMIT = 1 << 20;
const text = "opt-out of every environment\n".repeat(100);
const plain = Buffer.from(text);

// Written by the reference implementations' command lines (lz4 1.9.4, zstd 1.5), of the text above.
const lz4Plain = Buffer.from(
  "BCJNGGRApzMAAAD/Dm9wdC1vdXQgb2YgZXZlcnkgZW52aXJvbm1lbnQKHQD//////////////ypQbWVudAoAAAAAn4ty+A==",
  "base64",
);
const lz4WithChecksumsAndSize = Buffer.from(
  "BCJNGHxAVAsAAAAAAACuMwAAAP8Ob3B0LW91dCBvZiBldmVyeSBlbnZpcm9ubWVudAodAP//////////////KlBtZW50CvyXUuMAAAAAn4ty+A==",
  "base64",
);
const zstdWithSize = Buffer.from(
  "KLUv/WRUCi0BAOhvcHQtb3V0IG9mIGV2ZXJ5IGVudmlyb25tZW50CgEA0Qz4ygkMAmgI",
  "base64",
);
const zstdStreamed = Buffer.from(
  "KLUv/QRYLQEA6G9wdC1vdXQgb2YgZXZlcnkgZW52aXJvbm1lbnQKAQDRDPjKCQwCaAg=",
  "base64",
);

/** As snappy-java writes a stream. */
function xerial(...blocks: Buffer[]): Buffer {
  const header = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
  const framed = blocks.map((block) => {
    const compressed = snappyCompress(block);
    const size = Buffer.alloc(4);
    size.writeInt32BE(compressed.length);
    return Buffer.concat([size, compressed]);
  });
  return Buffer.concat([header, ...framed]);
}

test("snappy is read bare and in the frames of Java producers", async () => {
  assert.equal(String(await decompressSnappy(snappyCompress(plain), LIMIT)), text);
  assert.equal(
    String(await decompressSnappy(xerial(plain, Buffer.from("and more")), LIMIT)),
    `${text}and more`,
  );
});

test("LZ4 frames are read with any of their options, one after another too", () => {
  assert.equal(String(decompressLz4(lz4Plain, LIMIT)), text);
  assert.equal(String(decompressLz4(lz4WithChecksumsAndSize, LIMIT)), text);
  assert.equal(String(decompressLz4(Buffer.concat([lz4WithChecksumsAndSize, lz4Plain]), LIMIT)), text + text);
  const random = Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251));
  assert.deepEqual(decompressLz4(Buffer.from(lz4Compress(random)), LIMIT), random);
});

test("zstd is read by Node or without it, whether the frame tells its size or not", async () => {
  for (const decompress of [decompressZstd, decompressZstdWithoutNode]) {
    assert.equal(String(await decompress(zstdWithSize, LIMIT)), text);
    assert.equal(String(await decompress(zstdStreamed, LIMIT)), text);
  }
});

test("gzip is read", async () => {
  assert.equal(String(await gunzip(zlib.gzipSync(plain), LIMIT)), text);
});

const bombs: [name: string, decompress: typeof gunzip, bytes: Buffer][] = [
  ["gzip", gunzip, zlib.gzipSync(plain)],
  ["snappy", decompressSnappy, snappyCompress(plain)],
  ["snappy in frames", decompressSnappy, xerial(Buffer.alloc(900), Buffer.alloc(900))],
  ["LZ4", decompressLz4, lz4Plain],
  ["LZ4 in frames", decompressLz4, Buffer.concat([lz4Plain, lz4Plain])],
  ["zstd", decompressZstd, zstdWithSize],
  ["zstd without Node's", decompressZstdWithoutNode, zstdWithSize],
  ["zstd without Node's, of unknown size", decompressZstdWithoutNode, zstdStreamed],
];
for (const [name, decompress, bytes] of bombs) {
  test(`${name} that grows past the limit is refused`, async () => {
    await assert.rejects(codec(name, decompress, undefined, 1000).decompress(bytes), /can't be read/);
    assert.ok((await codec(name, decompress, undefined, 4 * plain.length).decompress(bytes)).length > 1000);
  });
}

test("a zstd frame that asks for a giant window is refused before anything is allocated", async () => {
  // A window descriptor of 0xa0 asks for 2^30 bytes.
  const greedy = Buffer.from(zstdStreamed);
  greedy.writeUInt8(0xa0, 5);
  await assert.rejects(codec("zstd", decompressZstdWithoutNode).decompress(greedy), /window of more than/);
});

test("damaged input of any kind rejects with a plain error, which doesn't end kafkajs' consumer", async () => {
  const damaged = [
    ...bombs,
    ["zstd streamed", decompressZstdWithoutNode, zstdStreamed],
    ["LZ4 with checksums", decompressLz4, lz4WithChecksumsAndSize],
  ] as typeof bombs;
  for (const [name, decompress, bytes] of damaged) {
    for (const end of [0, 1, 3, 5, 6, 7, 9, 12, bytes.length - 5]) {
      const outcome = await codec(name, decompress)
        .decompress(bytes.subarray(0, end))
        .then(
          () => "read",
          (error: unknown) => error,
        );
      if (outcome !== "read") {
        assert.ok(outcome instanceof Error, name);
        assert.equal(outcome.name, "Error", `${name} cut to ${end}`);
      }
    }
  }
});

test("kafkajs finds a codec for every compression once they are registered, gzip writes too", async () => {
  registerCodecs();
  const { CompressionCodecs, CompressionTypes } = kafkajs;
  const samples = [
    [CompressionTypes.GZIP, await promisify(zlib.gzip)(plain)],
    [CompressionTypes.Snappy, xerial(plain)],
    [CompressionTypes.LZ4, lz4Plain],
    [CompressionTypes.ZSTD, zstdStreamed],
  ] as const;
  for (const [type, bytes] of samples) {
    const found: ReturnType<typeof codec> = CompressionCodecs[type as 1]();
    assert.equal(String(await found.decompress(bytes)), text);
  }
  const gzip: ReturnType<typeof codec> = CompressionCodecs[CompressionTypes.GZIP]();
  assert.equal(String(zlib.gunzipSync(await gzip.compress({ buffer: plain }))), text);
  const lz4: ReturnType<typeof codec> = CompressionCodecs[CompressionTypes.LZ4]();
  await assert.rejects(lz4.compress({ buffer: plain }), /not supported/);
});

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { decodeLedger, encodeLedger } from "../../src/batching/ledger.ts";
import { type Ledger, ledgers, uniform } from "./ledger-arbitraries.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NAMES = ["production", "us-west"];

const encode = (ledger: Ledger): string => encodeLedger(ledger.base, ledger.batches, ledger.environments);

const assertRefused = (base: number, metadata: string, environments: readonly string[] = NAMES): void => {
  const decoded = decodeLedger(base, metadata, environments);
  assert.equal(decoded.ok, false, `taken for a ledger: ${JSON.stringify(metadata)}`);
  assert.ok(!decoded.ok && decoded.problem.length > 0);
};

/** Metadata with a correct checksum over any payload: only its content can give it away. */
const sealed = (base: number, payload: readonly number[]): string => {
  const bytes = Uint8Array.from(payload);
  const checksum = createHash("sha256").update(`${base}\n`).update(bytes).digest().subarray(0, 4);
  return `optout1.${Buffer.concat([checksum, bytes]).toString("base64url")}`;
};

describe("ledger: damage", () => {
  // Of three lengths, since the last character of base64url holds 2, 4 or 6 bits.
  const samples = [1, 2, 3, 4, 5, 9].map((count) => uniform(count, NAMES, (batch) => batch % 2 === 1));
  const lengths = new Set(samples.map((ledger) => encode(ledger).length % 4));

  test("the samples end in every way that base64url can", () => {
    assert.deepEqual([...lengths].sort(), [0, 2, 3]);
  });

  test("every change of a single character is noticed", () => {
    for (const ledger of samples) {
      const metadata = encode(ledger);
      for (let index = 0; index < metadata.length; index++) {
        for (const character of [...ALPHABET, ".", "=", "+", "/", " ", "\n", "\0", "é", "\u{1f4f5}"]) {
          if (character === metadata[index]) continue;
          assertRefused(ledger.base, metadata.slice(0, index) + character + metadata.slice(index + 1));
        }
      }
    }
  });

  test("every truncation is noticed, but for the empty string, which is no ledger at all", () => {
    for (const ledger of samples) {
      const metadata = encode(ledger);
      for (let length = 1; length < metadata.length; length++) {
        assertRefused(ledger.base, metadata.slice(0, length));
        assertRefused(ledger.base, metadata.slice(length));
      }
    }
  });

  test("every character inserted or appended is noticed", () => {
    for (const ledger of samples) {
      const metadata = encode(ledger);
      for (let index = 0; index <= metadata.length; index++) {
        for (const character of ["A", "_", "=", " ", "!", "\n", "é"]) {
          assertRefused(ledger.base, metadata.slice(0, index) + character + metadata.slice(index));
        }
      }
      assertRefused(ledger.base, metadata + metadata);
      assertRefused(ledger.base, `${metadata}====`);
    }
  });

  test("any two characters exchanged, and any garbage spliced in, are noticed", () => {
    const spliced = ledgers({ minBatches: 1 }).chain((ledger) => {
      const metadata = encode(ledger);
      return fc.record({
        ledger: fc.constant(ledger),
        metadata: fc.constant(metadata),
        from: fc.nat({ max: metadata.length }),
        count: fc.nat({ max: 8 }),
        garbage: fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[A-Za-z0-9_-]*$/)),
      });
    });
    fc.assert(
      fc.property(spliced, ({ ledger, metadata, from, count, garbage }) => {
        const damaged = metadata.slice(0, from) + garbage + metadata.slice(from + count);
        fc.pre(damaged !== metadata && damaged !== "");
        assertRefused(ledger.base, damaged, ledger.environments);
      }),
      { numRuns: 300 },
    );
  });

  test("a commit copied to another offset is no ledger there", () => {
    fc.assert(
      fc.property(ledgers({ minBatches: 1 }), fc.integer({ min: -1_000, max: 2 ** 40 }), (ledger, shift) => {
        fc.pre(shift !== 0);
        assertRefused(ledger.base + shift, encode(ledger), ledger.environments);
      }),
    );
  });
});

describe("ledger: foreign metadata", () => {
  test("what other products and people put there is refused", () => {
    for (const metadata of [
      " ",
      "null",
      "{}",
      '{"version":1,"offsets":[]}',
      "bAAAAAAAAAAA=",
      "committed by kafka-ui at 2026-01-01T00:00:00Z",
      "optout1",
      "optout1.",
      "optout1.AAAA",
      "optout1.AAAAAA",
      "optout2.AAAAAAAA",
      "OPTOUT1.AAAAAAAA",
      "1f3c7c2a-0b41-4cbb-9a51-3a6f4f5f3b0f",
      "\0".repeat(100),
      "x".repeat(100_000),
      `optout1.${"A".repeat(100_000)}`,
    ]) {
      assertRefused(0, metadata);
    }
  });

  test("arbitrary text never throws and never makes a batch", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: "grapheme" }),
      fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) }),
      fc.base64String(),
      fc.json(),
    );
    fc.assert(
      fc.property(text, fc.boolean(), fc.nat(), (content, withPrefix, base) => {
        const metadata = withPrefix ? `optout1.${content}` : content;
        if (metadata === "") return;
        assertRefused(base, metadata);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("ledger: hostile content under a correct checksum", () => {
  const HUGE = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
  const name = [1, 2, 3, 4];
  /** Of one batch. */
  const DIGEST = [0xab, 0xc0, 0];

  test("a well-formed payload is taken, so that the checksum of these tests is the real one", () => {
    assert.deepEqual(decodeLedger(5, sealed(5, [1, 2, ...DIGEST, 0]), []), {
      ok: true,
      batches: [{ first: 5, last: 6, digest: 0xabc, settled: false, acknowledged: [] }],
    });
  });

  test("huge counts and lengths are refused without allocating for them", () => {
    const before = process.memoryUsage().heapUsed;
    for (const payload of [
      [...HUGE],
      [...HUGE, ...HUGE, ...HUGE],
      [0x80, 0x80, 0x80, 0x80, 0x08],
      [1, 0, ...DIGEST, ...HUGE],
      [1, 0, ...DIGEST, 1, ...name, 0, ...HUGE],
      [1, 0, ...DIGEST, ...HUGE, ...name, 0, 0],
      [1, 1, ...HUGE, 1],
      [2, 0, ...HUGE, 0],
      [0, ...HUGE],
    ]) {
      assertRefused(5, sealed(5, payload));
    }
    assert.ok(process.memoryUsage().heapUsed - before < 16 * 1024 * 1024);
  });

  test("numbers beyond what JavaScript holds exactly are refused", () => {
    assertRefused(5, sealed(5, [1, ...Array.from({ length: 9 }, () => 0xff), 1, 0]));
    assertRefused(5, sealed(5, [1, ...Array.from({ length: 2_000 }, () => 0x80), 1, 0]));
    assertRefused(5, sealed(5, [1, ...Array.from({ length: 2_000 }, () => 0xff)]));
    // A span of 2^52 events behind a gap of 2^53 - 1.
    assertRefused(5, sealed(5, [1, ...HUGE, ...HUGE, 0]));
    assertRefused(5, sealed(5, [2, ...HUGE, ...HUGE, 0, 0]));
  });

  test("what goes on after its end is refused", () => {
    assertRefused(5, sealed(5, [1, 2, ...DIGEST, 0, 0]));
    assertRefused(5, sealed(5, [1, 2, ...DIGEST, 1, ...name, 1, 0, 7]));
  });

  test("splits that are none, or of batches that there aren't, are refused", () => {
    const oneBatch = [1, 2, ...DIGEST, 0];
    assert.deepEqual(decodeLedger(5, sealed(5, [...oneBatch, ...name, 1, 0, 1, 0b1101_0000]), []).ok, true);
    assertRefused(5, sealed(5, [...oneBatch, ...name, 1, 1, 1, 0]));
    assertRefused(5, sealed(5, [...oneBatch, ...name, 1, ...HUGE, 1, 0]));
    assertRefused(5, sealed(5, [...oneBatch, ...name, 1, 0, 0]));
    assertRefused(5, sealed(5, [...oneBatch, ...name, 1, 0, 2, 0, 0]));
    assertRefused(5, sealed(5, [...oneBatch, ...name, ...HUGE, 0, 1, 0]));
    assertRefused(5, sealed(5, [...oneBatch, ...name, 1, 0, ...HUGE]));
    assertRefused(5, sealed(5, [...oneBatch, ...name, 1, 0, 8, ...HUGE]));
  });

  test("a cursor past the end stands for all batches and allocates nothing", () => {
    const payload = [2, 0, 0, ...DIGEST, 1, ...name, ...HUGE, 0];
    assert.equal(decodeLedger(5, sealed(5, payload), NAMES).ok, true);
  });

  test("arbitrary bytes never throw, never make more batches than there are bytes, and never overlap", () => {
    const byte = fc.oneof(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 255 }));
    const payloads = fc.array(byte, { maxLength: 60 });
    fc.assert(
      fc.property(payloads, fc.nat(), (payload, base) => {
        const decoded = decodeLedger(base, sealed(base, payload), NAMES);
        if (!decoded.ok) return;
        assert.ok(decoded.batches.length <= payload.length);
        let end = base;
        for (const { first, last } of decoded.batches) {
          assert.ok(Number.isSafeInteger(last) && first >= end && last >= first);
          end = last + 1;
        }
      }),
      { numRuns: 5_000 },
    );
  });
});

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { decodeLedger, encodeLedger, MAX_LEDGER_CHARS } from "../../src/batching/ledger.ts";
import { fuzz, mutatedText } from "../support/fuzz.ts";
import { assertLinear } from "../support/growth.ts";
import { ledgers, uniform } from "./ledger-arbitraries.ts";

const PREFIX = "optout1.";
const NAMES = ["production", "us-west", "eu-central"];
const SEEDS = fc.sample(ledgers({ minBatches: 1 }), { seed: 7, numRuns: 30 });

/** As a writer of another version, or a hostile one, could: the checksum fits whatever is behind it. */
function sealed(base: number, payload: Uint8Array): string {
  const sum = createHash("sha256").update(`${base}\n`).update(payload).digest().subarray(0, 4);
  return PREFIX + Buffer.concat([sum, payload]).toString("base64url");
}

/** Batches in order behind the committed offset, or a problem in words; what it holds can be written again. */
function check(base: number, metadata: string, environments: readonly string[]): void {
  const decoded = decodeLedger(base, metadata, environments);
  if (!decoded.ok) {
    assert.ok(decoded.problem.length > 0 && decoded.problem.length < 200);
    return;
  }
  let next = base;
  for (const { first, last, acknowledged, digest } of decoded.batches) {
    assert.ok(
      first >= next && last >= first && Number.isSafeInteger(last),
      `${first}-${last} behind ${next}`,
    );
    assert.equal(acknowledged.length, environments.length);
    assert.ok(digest >= -1 && digest < 4_096, String(digest));
    next = last + 1;
  }
  const written = encodeLedger(base, decoded.batches, environments);
  if (written.length <= MAX_LEDGER_CHARS) {
    assert.equal(encodeLedger(base, batchesOf(base, written, environments), environments), written);
  }
}

function batchesOf(base: number, metadata: string, environments: readonly string[]) {
  const decoded = decodeLedger(base, metadata, environments);
  assert.ok(decoded.ok, "what was written can be read");
  return decoded.batches;
}

describe("any metadata is a ledger or a problem", () => {
  test("texts of every kind, with and without the prefix", () => {
    const text = fc.string({ unit: "binary", maxLength: 200 });
    const metadata = fc.oneof(
      text,
      text.map((rest) => PREFIX + rest),
      fc.base64String().map((rest) => PREFIX + rest),
    );
    fuzz(metadata, (given) => check(100, given, NAMES), 1_500);
  });

  test("ledgers of which some characters changed", () => {
    const seeds = SEEDS.map(({ base, batches, environments }) => encodeLedger(base, batches, environments));
    fuzz(
      fc.tuple(mutatedText(seeds), fc.constantFrom(...SEEDS)),
      ([given, { base, environments }]) => check(base, given, environments),
      1_500,
    );
  });

  test("any bytes whose checksum fits", () => {
    const payloads = SEEDS.map(({ base, batches, environments }) =>
      Buffer.from(encodeLedger(base, batches, environments).slice(PREFIX.length), "base64url").subarray(4),
    );
    const changed = fc.constantFrom(...payloads).chain((payload) =>
      fc
        .array(fc.tuple(fc.nat(payload.length), fc.constantFrom(0, 1, 127, 128, 255)), { maxLength: 4 })
        .map((places) => {
          const copy = Buffer.from(payload);
          for (const [place, byte] of places) if (place < copy.length) copy[place] = byte;
          return copy;
        }),
    );
    const bytes = fc.oneof(changed, fc.uint8Array({ maxLength: 60 }));
    fuzz(
      fc.tuple(bytes, fc.nat(2 ** 31 - 1)),
      ([payload, base]) => check(base, sealed(base, payload), NAMES),
      3_000,
    );
  });

  test("numbers that claim more than there is take no more time or memory than their bytes", () => {
    const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
    for (const payload of [
      huge,
      [1, 0, 0, 0, ...huge],
      [1, 0, 0, 0, 1, 1, 2, 3, 4, ...huge, ...huge],
      [0, ...huge],
      [0, 0, 1, 2, 3, 4, ...huge],
    ]) {
      const decoded = decodeLedger(0, sealed(0, Uint8Array.from(payload)), NAMES);
      assert.equal(decoded.ok, false, String(payload));
    }
  });

  test("a ledger of twice the batches is read in about twice the time, and so are columns of nobody", () => {
    const metadata = (count: number): string => {
      const { base, batches, environments } = uniform(count, NAMES, (batch) => batch % 3 === 0);
      return encodeLedger(base, batches, environments);
    };
    assertLinear(
      "batches",
      (count) => {
        const text = metadata(count);
        return () => void decodeLedger(1_000_000, text, NAMES);
      },
      { from: 100, to: 1_000 },
    );
    assertLinear(
      "columns",
      (count) => {
        const columns = Array.from({ length: Math.min(count, 120) }, (_, index) => [
          1,
          2,
          3,
          index % 128,
          0,
          0,
        ]).flat();
        const text = sealed(0, Uint8Array.from([1, 0, 0, 0, Math.min(count, 120), ...columns]));
        return () => void decodeLedger(0, text, NAMES);
      },
      { from: 30, to: 60 },
    );
  });
});

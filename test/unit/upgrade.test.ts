import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import {
  type BatchScope,
  createBatchBuilder,
  ledgerDigest,
  type SourceRecord,
  sliceOf,
} from "../../src/batching/batch.ts";
import { decodeLedger, encodeLedger, type LedgerBatch } from "../../src/batching/ledger.ts";
import { createDecoder } from "../../src/events/decode.ts";
import { VERSION } from "../../src/version.ts";

/**
 * What a release wrote, so that later ones can be held against it. Never changed once it is there: a relay that reads it in
 * another way would, after an upgrade, send batches that are under way again, under other keys.
 */
interface Sample {
  scope: BatchScope;
  /** Values on the events topic, from `first` on. */
  first: number;
  records: string[];
  /** The one batch that they make. */
  key: string;
  body: string;
  /** Of its halves, when an environment doesn't take it whole. */
  pieces: string[];
  ledger: { base: number; environments: string[]; metadata: string; batches: LedgerBatch[] };
}

const FOLDER = resolve("test/data/releases");
const sampleOf = (version: string): Sample =>
  JSON.parse(readFileSync(resolve(FOLDER, `${version}.json`), "utf8"));

/** The present release's answer to a sample's records and ledger. */
function replay({ scope, first, records, ledger }: Pick<Sample, "scope" | "first" | "records" | "ledger">) {
  const decode = createDecoder({
    normalization: { defaultRegion: "US", regionBySource: {} },
    schemas: null,
  });
  const builder = createBatchBuilder(scope);
  records.forEach((value, index) => {
    const record: SourceRecord = {
      offset: first + index,
      timestamp: 1_772_366_400_000,
      key: null,
      value: Buffer.from(value),
      headers: {},
    };
    const decoded = decode({ value: record.value, headers: record.headers });
    assert.ok(!("schemaId" in decoded));
    builder.add(record, decoded);
  });
  const batch = builder.build();
  const half = Math.ceil(batch.entries.length / 2);
  const pieces = [sliceOf(scope, batch, 0, half), sliceOf(scope, batch, half, batch.entries.length)];
  const decoded = decodeLedger(ledger.base, ledger.metadata, ledger.environments);
  return { batch, pieces: pieces.map(({ key }) => key), decoded };
}

/** For a release that has none yet. */
function writeSample(version: string): void {
  const scope = { clusterId: "b3B0b3V0LXJlbGF5LWRlbQ", topic: "opt-out-events", partition: 3 };
  const records = [
    '{"phone":"(212) 555-0123","source":"web","eventId":"form-1","occurredAt":"2026-03-01T12:00:00Z"}',
    '{"phone":"+44 20 7946 0958","source":"ivr"}',
    '{"phone":"(212) 555-0123","source":"ivr"}',
    '{"phone":"nobody"}',
    '{"phone":"604-555-0187","region":"CA","source":"crm","expiresAt":"2027-01-01T00:00:00Z"}',
    '{"phone":"1-800-FLOWERS"}',
  ];
  const ledger = { base: 4_711, environments: ["production", "us-west", "eu-central"], metadata: "" };
  const { batch, pieces } = replay({ scope, first: 4_720, records, ledger: { ...ledger, batches: [] } });
  const none = [false, false, false];
  const batches: LedgerBatch[] = [
    { first: 4_712, last: 4_719, digest: 77, settled: true, acknowledged: [true, true, true] },
    {
      ...{ first: batch.first, last: batch.last, digest: ledgerDigest(batch), settled: false },
      acknowledged: [true, false, false],
      splits: [undefined, ["acknowledged", "pending"], undefined],
    },
    { first: 4_726, last: 4_800, digest: 4_095, settled: false, acknowledged: none },
    { first: 4_810, last: 9_000_000, digest: 1_234, settled: false, acknowledged: [false, false, true] },
  ];
  const metadata = encodeLedger(ledger.base, batches, ledger.environments);
  const read = decodeLedger(ledger.base, metadata, ledger.environments);
  assert.ok(read.ok);
  const sample: Sample = {
    ...{ scope, first: 4_720, records, key: batch.key, body: batch.body.toString(), pieces },
    ledger: { ...ledger, metadata, batches: read.batches },
  };
  writeFileSync(resolve(FOLDER, `${version}.json`), `${JSON.stringify(sample, null, 2)}\n`);
}

if (process.env.OPTOUT_TEST_UPDATE && !existsSync(resolve(FOLDER, `${VERSION}.json`))) writeSample(VERSION);
const versions = readdirSync(FOLDER).map((name) => name.replace(/\.json$/, ""));

describe("an upgrade", () => {
  test("finds a sample of each release, this one's too (OPTOUT_TEST_UPDATE=1 writes one that is missing)", () => {
    assert.ok(versions.includes(VERSION), versions.join(", "));
  });

  for (const version of versions) {
    const sample = sampleOf(version);
    const found = replay(sample);

    test(`from ${version} reads the ledger that was written: batches, acknowledgements, splits`, () => {
      // By way of JSON, as the sample went: it has no undefined.
      assert.deepEqual(JSON.parse(JSON.stringify(found.decoded)), {
        ok: true,
        batches: sample.ledger.batches,
      });
    });

    test(`from ${version}, or back to it, writes that ledger as it was`, () => {
      assert.ok(found.decoded.ok);
      const { base, environments, metadata } = sample.ledger;
      assert.equal(encodeLedger(base, found.decoded.batches, environments), metadata);
    });

    test(`from ${version} makes the same body and keys of the same records`, () => {
      assert.equal(found.batch.body.toString(), sample.body);
      assert.equal(found.batch.key, sample.key);
      assert.deepEqual(found.pieces, sample.pieces);
      const [batch] = sample.ledger.batches.filter(({ first }) => first === sample.first);
      assert.equal(batch?.digest, ledgerDigest(found.batch), "so that its acknowledgements still count");
    });
  }
});

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { after, describe, test } from "node:test";
import kafkajs from "kafkajs";
import { parse } from "yaml";
import { z } from "zod";
import { ensureTopics, withAdmin } from "../../src/kafka/topics.ts";
import { readPackageFile } from "../../src/package-files.ts";
import { registerSchemas } from "../../src/registry/subjects.ts";
import { testKafka } from "../support/kafka.ts";
import { releaseStack, sharedStack } from "../support/stack.ts";

const stack = await sharedStack();
after(releaseStack);

const FORMATS = { AVRO: "avsc", JSON: "schema.json" } as const;
type Format = keyof typeof FORMATS;
type Schema = Record<string, unknown>;
type Level = "FULL_TRANSITIVE" | "FORWARD_TRANSITIVE" | "BACKWARD_TRANSITIVE";

const mapping = z.record(z.string(), z.unknown());
const read = (path: string): Schema => mapping.parse(JSON.parse(readPackageFile(path)));
const NAMES = ["opt-out-event", "opt-out-status", "opt-out-dead-letter", "opt-out-redriven"];

/** Every version that was published, the first first. */
function historyOf(name: string, format: Format): Schema[] {
  const folder = `schemas/history/${name}`;
  const files = readdirSync(folder).filter((file) => file.endsWith(`.${FORMATS[format]}`));
  assert.ok(files.length > 0, `${folder} has no version in ${format}`);
  return files.map((_, index) => read(`${folder}/${index + 1}.${FORMATS[format]}`));
}

async function ask(method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(stack.registryUrl + path, {
    method,
    headers: { "content-type": "application/vnd.schemaregistry.v1+json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const answer: unknown = await response.json();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

const body = (schemaType: Format, schema: Schema) => ({ schemaType, schema: JSON.stringify(schema) });
const newSubject = (): string => `evolution-${randomUUID()}-value`;
const verdict = z.object({ is_compatible: z.boolean(), reason: z.string().nullish() });

/** The registry's answer to whether a schema may follow the others in a subject with that rule. */
async function judge(format: Format, earlier: Schema[], level: Level, schema: Schema) {
  const subject = newSubject();
  for (const version of earlier) await ask("POST", `/subjects/${subject}/versions`, body(format, version));
  await ask("PUT", `/config/${subject}`, { compatibility: level });
  const path = `/compatibility/subjects/${subject}/versions?verbose=true`;
  return verdict.parse(await ask("POST", path, body(format, schema)));
}

/**
 * A JSON Schema as it was before it got the properties that an earlier version doesn't have. Registries take an object with
 * a property that older schemas leave open for a narrower one, though nobody ever sent it; so that is not asked.
 */
function withoutNew(now: unknown, then: unknown, insideProperties = false): unknown {
  const [later, earlier] = [mapping.safeParse(now).data, mapping.safeParse(then).data];
  if (Array.isArray(now) || later === undefined || earlier === undefined) return now;
  const kept = Object.entries(later).filter(([key]) => !insideProperties || Object.hasOwn(earlier, key));
  return Object.fromEntries(
    kept.map(([key, value]) => [
      key,
      withoutNew(value, earlier[key], key === "properties" && !insideProperties),
    ]),
  );
}

/** The reasons against it, none if it may follow. */
async function objections(format: Format, earlier: Schema[], schema: Schema): Promise<string[]> {
  const verdicts =
    format === "AVRO"
      ? [await judge(format, earlier, "FULL_TRANSITIVE", schema)]
      : [
          await judge(format, earlier, "FORWARD_TRANSITIVE", schema),
          ...(await Promise.all(
            earlier.map((one) =>
              judge(format, [one], "BACKWARD_TRANSITIVE", mapping.parse(withoutNew(schema, one))),
            ),
          )),
        ];
  return verdicts.flatMap(({ is_compatible: ok, reason }) => (ok ? [] : [reason ?? "incompatible"]));
}

interface AvroField extends Schema {
  name: string;
}
const avroFields = (schema: Schema): AvroField[] =>
  z.array(z.looseObject({ name: z.string() })).parse(schema.fields);
const properties = (schema: Schema): [string, unknown][] => Object.entries(mapping.parse(schema.properties));
const required = (schema: Schema): string[] => z.array(z.string()).parse(schema.required);

const added: Record<Format, (schema: Schema, optional: boolean) => Schema> = {
  AVRO: (schema, optional) => ({
    ...schema,
    fields: [
      ...avroFields(schema),
      { name: "later", ...(optional ? { type: ["null", "string"], default: null } : { type: "string" }) },
    ],
  }),
  JSON: (schema, optional) => ({
    ...schema,
    required: [...required(schema), ...(optional ? [] : ["later"])],
    properties: Object.fromEntries([...properties(schema), ["later", { type: ["string", "null"] }]]),
  }),
};

const firstGone: Record<Format, (schema: Schema) => Schema> = {
  AVRO: (schema) => ({ ...schema, fields: avroFields(schema).slice(1) }),
  JSON: (schema) => ({
    ...schema,
    required: required(schema).slice(1),
    properties: Object.fromEntries(properties(schema).slice(1)),
  }),
};

const firstOtherwise: Record<Format, (schema: Schema) => Schema> = {
  AVRO: (schema) => ({
    ...schema,
    fields: avroFields(schema).map((field, index) => (index === 0 ? { ...field, type: "boolean" } : field)),
  }),
  JSON: (schema) => ({
    ...schema,
    properties: Object.fromEntries(
      properties(schema).map(([name, type], index) => [name, index === 0 ? { type: "boolean" } : type]),
    ),
  }),
};

/** One more outcome: readers with the earlier schema could not read it. */
const moreOutcomes = (schema: Schema): Schema =>
  mapping.parse(
    JSON.parse(JSON.stringify(schema).replace('"partially_delivered"]', '"partially_delivered","late"]')),
  );

describe("schemas evolve so that every version's readers read every version's records", {
  concurrency: 4,
}, () => {
  for (const name of NAMES) {
    for (const format of ["AVRO", "JSON"] as const) {
      const current = read(`schemas/${name}.${FORMATS[format]}`);

      test(`${name} in ${format} may follow all its published versions`, async () => {
        assert.deepEqual(await objections(format, historyOf(name, format), current), []);
      });

      test(`${name} in ${format} may get an optional field; the registry refuses what breaks readers`, async () => {
        assert.deepEqual(await objections(format, [current], added[format](current, true)), []);
        const breaking = [
          added[format](current, false),
          firstGone[format](current),
          firstOtherwise[format](current),
        ];
        if (name === "opt-out-status") breaking.push(moreOutcomes(current));
        for (const schema of breaking) {
          assert.notDeepEqual(schema, current);
          assert.notDeepEqual(await objections(format, [current], schema), [], JSON.stringify(schema));
        }
      });
    }
  }
});

const LEVELS = [
  "NONE",
  "BACKWARD",
  "BACKWARD_TRANSITIVE",
  "FORWARD",
  "FORWARD_TRANSITIVE",
  "FULL",
  "FULL_TRANSITIVE",
];

test("schemas are registered whatever rule the operator has for the subject, and the rule stays", async () => {
  for (const compatibility of LEVELS) {
    const id = randomUUID();
    const topics = { events: `events-${id}`, status: `status-${id}`, deadLetter: `dead-${id}` };
    const subjects = [
      [`${topics.events}-value`, "opt-out-event"],
      [`${topics.status}-value`, "opt-out-status"],
    ] as const;
    for (const [subject, name] of subjects) {
      for (const version of historyOf(name, "AVRO")) {
        await ask("POST", `/subjects/${subject}/versions`, body("AVRO", version));
      }
      await ask("PUT", `/config/${subject}`, { compatibility });
    }
    await registerSchemas({ topics, schemaRegistry: { url: stack.registryUrl, requestTimeout: 5_000 } });
    for (const [subject, name] of subjects) {
      const latest = await ask("GET", `/subjects/${subject}/versions/latest`);
      const { schema } = z.object({ schema: z.string() }).parse(latest);
      assert.deepEqual(JSON.parse(schema), read(`schemas/${name}.avsc`));
      assert.deepEqual(await ask("GET", `/config/${subject}`), { compatibilityLevel: compatibility });
    }
  }
});

test("the AsyncAPI document has the topics' settings as the command creates them", async () => {
  const kafka = testKafka(stack.brokers);
  const id = randomUUID().slice(0, 8);
  const topics = { events: `events-${id}`, status: `status-${id}`, deadLetter: `dead-${id}` };
  const states = await ensureTopics(kafka, {
    kafka: { brokers: stack.brokers, clientId: "t", groupId: "t", ssl: false, sessionTimeout: 10_000 },
    topics,
  });
  const channels = z
    .record(
      z.enum(["events", "status", "deadLetter"]),
      z.object({
        bindings: z.object({ kafka: z.object({ partitions: z.int(), topicConfiguration: mapping }) }),
      }),
    )
    .parse(mapping.parse(parse(readPackageFile("schemas/asyncapi.yaml"))).channels);
  for (const { role, topic, partitions } of states) {
    const described = channels[role].bindings.kafka;
    assert.equal(described.partitions, partitions);
    const { resources } = await withAdmin(kafka, stack.brokers, (admin) =>
      admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
      }),
    );
    // Those that are the topic's own, and not the broker's or Kafka's default.
    const own = resources[0]?.configEntries.filter(({ configSource }) => configSource === 1) ?? [];
    assert.deepEqual(
      Object.fromEntries(own.map(({ configName, configValue }) => [configName, configValue])),
      Object.fromEntries(
        Object.entries(described.topicConfiguration).map(([key, value]) => [key, String(value)]),
      ),
    );
  }
});

import { Command } from "commander";
import { closeKafka, createKafka } from "../kafka/client.ts";
import { type EnsureTopicsOptions, ensureTopics, type TopicState } from "../kafka/topics.ts";
import { createLogger } from "../observability/logger.ts";
import { type RegisteredSubject, registerSchemas } from "../registry/subjects.ts";
import { table } from "../table.ts";
import { parseCount } from "./count.ts";
import { type ConfigOption, configFrom, withConfigOption } from "./options.ts";

const HELP = `
  optout-relay topics --config relay.yaml
  optout-relay topics --config relay.yaml --partitions 12

Creates the three topics of the configuration (topics.events, .status and
.deadLetter) where they are missing, and registers the schemas if schemaRegistry
is configured. What exists is left as it is. There can be as many relays as the
events topic has partitions. Needs CREATE and DESCRIBE on the topics.

Exit codes: 0 all of it is there, 1 something could not be created or reached, 2
wrong usage.
`;

/** `optout-relay topics`: creates what is missing and changes nothing that exists. */
export const topicsCommand = (): Command =>
  withConfigOption(new Command("topics"))
    .description("create missing topics and register the schemas; run it as often as you like")
    .option("--partitions <n>", "partitions of a topic that is created", parseCount(10_000), 6)
    .option(
      "--replication-factor <n>",
      "replicas of a topic that is created (default: 3, or the number of brokers if fewer)",
      parseCount(32),
    )
    .addHelpText("after", HELP)
    .action(async ({ partitions, replicationFactor, ...options }: ConfigOption & EnsureTopicsOptions) => {
      const config = configFrom(options);
      const wanted = {
        ...(partitions !== undefined && { partitions }),
        ...(replicationFactor !== undefined && { replicationFactor }),
      };
      // Standard output is the tables'; the client's complaints come back as the command's error.
      const kafka = createKafka(config.kafka, createLogger({ ...config.logging, level: "silent" }));
      const topics = await ensureTopics(kafka, config, wanted).finally(() => closeKafka(kafka));
      process.stdout.write(topicsTable(topics));
      const subjects = await registerSchemas(config);
      process.stdout.write(
        subjects === null
          ? "No schema registry is configured (schemaRegistry.url): events and results are JSON.\n"
          : subjectsTable(subjects),
      );
    });

function topicsTable(topics: readonly TopicState[]): string {
  return table(
    ["topic", "for", "partitions", "replicas", ""],
    topics.map(({ topic, role, partitions, replicationFactor, created }) => [
      topic,
      role === "deadLetter" ? "dead letters" : role,
      String(partitions),
      String(replicationFactor),
      created ? "created" : "was there",
    ]),
  );
}

const subjectsTable = (subjects: readonly RegisteredSubject[]): string =>
  table(
    ["subject", "schema id"],
    subjects.map(({ subject, id }) => [subject, String(id)]),
  );

import type { Config } from "../../src/config/schema.ts";

/** The variables by which a command works with a scenario's brokers, topics and environments. */
export function commandEnv({ kafka, topics, environments }: Config): Record<string, string> {
  const env: Record<string, string> = {
    OPTOUT_KAFKA__BROKERS: kafka.brokers.join(","),
    OPTOUT_KAFKA__GROUP_ID: kafka.groupId,
    OPTOUT_TOPICS__EVENTS: topics.events,
    OPTOUT_TOPICS__STATUS: topics.status,
    OPTOUT_TOPICS__DEAD_LETTER: topics.deadLetter,
  };
  for (const [index, { name, baseUrl }] of environments.entries()) {
    const prefix = `OPTOUT_ENVIRONMENTS__${index}__`;
    env[`${prefix}NAME`] = name;
    env[`${prefix}BASE_URL`] = baseUrl ?? "";
    env[`${prefix}AUTH__CLIENT_ID`] = "relay";
    env[`${prefix}AUTH__CLIENT_SECRET`] = "relay-secret";
  }
  return env;
}

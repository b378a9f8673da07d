import type { Listener } from "../../src/local-stack/kafka-broker.ts";

export interface User {
  username: string;
  password: string;
}

/** A broker's setting that lets these log in by PLAIN. */
export const plainLogin = (...users: readonly User[]): string => {
  const logins = users.map(({ username, password }) => `user_${username}="${password}"`);
  return `org.apache.kafka.common.security.plain.PlainLoginModule required ${logins.join(" ")};`;
};

/** SASL/PLAIN without TLS. */
export const plainListener = (...users: readonly User[]): Listener => ({
  protocol: "SASL_PLAINTEXT",
  settings: { "sasl.enabled.mechanisms": "PLAIN", "plain.sasl.jaas.config": plainLogin(...users) },
});

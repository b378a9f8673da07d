import type { Config } from "../config/schema.ts";
import { checkEncryption } from "./encryption.ts";
import { checkEnvironment } from "./environment.ts";
import { about, type Finding, ok } from "./finding.ts";
import { checkKafka } from "./kafka.ts";
import { checkRegistry } from "./registry.ts";

export interface CheckOptions {
  /** Milliseconds for each answer. */
  timeout: number;
  /** Told what is still being waited for, whenever that changes. */
  onWaiting?(what: readonly string[]): void;
}

/** Most questions that follow one another: connection, group, its offsets. */
const QUESTIONS_IN_A_ROW = 4;

/** What `runChecks` takes at most, in milliseconds. */
export const longest = (timeout: number): number => QUESTIONS_IN_A_ROW * timeout;

/** Reaches all that the configuration names, at the same time. Never rejects; changes nothing anywhere. */
export async function runChecks(
  config: Config,
  { timeout, onWaiting = () => {} }: CheckOptions,
): Promise<Finding[]> {
  const waiting = new Set<string>();
  const tracked = async (what: string, work: Promise<Finding[]>): Promise<Finding[]> => {
    waiting.add(what);
    try {
      return await work;
    } finally {
      waiting.delete(what);
      onWaiting([...waiting]);
    }
  };
  const all = [
    tracked("Kafka", checkKafka(config, timeout)),
    tracked("the schema registry", checkRegistry(config, timeout)),
    ...config.environments.map((environment, index) =>
      tracked(environment.name, checkEnvironment(environment, index, timeout)),
    ),
  ];
  onWaiting([...waiting]);
  const findings = (await Promise.all(all)).flat();
  return gathered([
    ...about("configuration", "", [ok("valid", "every key is known and sound")]),
    ...findings,
    ...checkEncryption(config),
  ]);
}

/** What is about the same thing side by side, things in the order in which they come first. */
function gathered(findings: readonly Finding[]): Finding[] {
  const things = findings.map(({ area, name }) => `${area} ${name}`);
  const place = ({ area, name }: Finding): number => things.indexOf(`${area} ${name}`);
  return findings.toSorted((one, other) => place(one) - place(other));
}

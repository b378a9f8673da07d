import {
  type LocalStack,
  type LocalStackOptions,
  startLocalStack,
} from "../../src/local-stack/local-stack.ts";

export interface SharedStack {
  brokers: string[];
  registryUrl: string;
}

/** A stack of one's own, of the Kafka version in OPTOUT_TEST_KAFKA_VERSION, if that is set: how the matrix tests several. */
export const startTestStack = (options: LocalStackOptions = {}): Promise<LocalStack> => {
  const kafkaVersion = process.env.OPTOUT_TEST_KAFKA_VERSION;
  return startLocalStack({ ...(kafkaVersion !== undefined && { kafkaVersion }), ...options });
};

let own: Promise<LocalStack> | undefined;

/** The stack that `npm test` shares with all files; a file that is run by itself starts one, once. */
export async function sharedStack(): Promise<SharedStack> {
  const brokers = process.env.OPTOUT_TEST_BROKERS;
  const registryUrl = process.env.OPTOUT_TEST_REGISTRY_URL;
  if (brokers !== undefined && registryUrl !== undefined) return { brokers: brokers.split(","), registryUrl };
  own ??= startTestStack();
  const stack = await own;
  if (stack.registryUrl === undefined) throw new Error("the stack has no registry");
  return { brokers: stack.brokers, registryUrl: stack.registryUrl };
}

/** For `after`: stops the stack if this file started it. */
export async function releaseStack(): Promise<void> {
  if (own !== undefined) await (await own).stop();
}

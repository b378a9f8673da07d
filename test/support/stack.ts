import { type LocalStack, startLocalStack } from "../../src/local-stack/local-stack.ts";

export interface SharedStack {
  brokers: string[];
  registryUrl: string;
}

let own: Promise<LocalStack> | undefined;

/** The stack that `npm test` shares with all files; a file that is run by itself starts one, once. */
export async function sharedStack(): Promise<SharedStack> {
  const brokers = process.env.OPTOUT_TEST_BROKERS;
  const registryUrl = process.env.OPTOUT_TEST_REGISTRY_URL;
  if (brokers !== undefined && registryUrl !== undefined) return { brokers: brokers.split(","), registryUrl };
  own ??= startLocalStack();
  const stack = await own;
  if (stack.registryUrl === undefined) throw new Error("the stack has no registry");
  return { brokers: stack.brokers, registryUrl: stack.registryUrl };
}

/** For `after`: stops the stack if this file started it. */
export async function releaseStack(): Promise<void> {
  if (own !== undefined) await (await own).stop();
}

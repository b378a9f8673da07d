import { once } from "node:events";

/**
 * Resolves with the name of the first SIGINT or SIGTERM. A second one then ends the process at once, for whoever doesn't
 * want to wait for an orderly end.
 */
export async function stopSignal(): Promise<string> {
  const done = new AbortController();
  const { signal } = done;
  const first = await Promise.race(
    (["SIGINT", "SIGTERM"] as const).map(async (name) => {
      await once(process, name, { signal });
      return name;
    }),
  );
  // Without listeners, the default action is back.
  done.abort();
  return first;
}

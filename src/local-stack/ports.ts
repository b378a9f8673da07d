import { once } from "node:events";
import { createServer } from "node:net";
import { OptoutError } from "../errors.ts";

const lowest = 10_000;
const highest = 32_000;

/**
 * Free ports on 127.0.0.1, below the range the system gives to outgoing connections: a client that keeps reconnecting
 * to a stopped broker could otherwise be given that very port as its own, and connect to itself.
 * A port may be taken by another process before it is used: callers try again.
 */
export async function findFreePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let attempt = 0; ports.size < count; attempt += 1) {
    if (attempt > 200) {
      throw new OptoutError("local_stack", `No free port between ${lowest} and ${highest} on 127.0.0.1.`);
    }
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

/** Whether nobody listens on the port, as of now. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

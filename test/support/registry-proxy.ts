import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/**
 * - `answers`: what comes in goes to the real registry.
 * - `hangs`: connections are accepted, and nothing is ever answered on them, not even later.
 * - `down`: nothing listens.
 */
export type ProxyMode = "answers" | "hangs" | "down";

/** A registry's place in the network, for a test to take away. Connections don't outlive a change of mode, but hung ones do. */
export interface RegistryProxy {
  /** The registry's URL through the proxy; the same in every mode. */
  readonly url: string;
  /** Connections accepted in mode `hangs`. */
  readonly hung: number;
  become(mode: ProxyMode): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function createRegistryProxy(registryUrl: string): Promise<RegistryProxy> {
  const target = new URL(registryUrl);
  const sockets = new Set<Socket>();
  const forwarded = new Set<Socket>();
  let mode: ProxyMode = "answers";
  let hung = 0;

  const keep = (socket: Socket, set: Set<Socket>): void => {
    set.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => set.delete(socket));
  };

  const server: Server = createServer((client) => {
    keep(client, sockets);
    if (mode === "hangs") {
      hung++;
      client.resume();
      return;
    }
    const registry = connect(Number(target.port), target.hostname);
    for (const socket of [client, registry]) keep(socket, forwarded);
    client.pipe(registry).pipe(client);
    client.on("close", () => registry.destroy());
  });

  const listen = async (port: number): Promise<number> => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };
  const port = await listen(0);

  return {
    url: `http://127.0.0.1:${port}${target.pathname}`,
    get hung() {
      return hung;
    },
    async become(next) {
      const wasDown = mode === "down";
      mode = next;
      for (const socket of forwarded) socket.destroy();
      if (next === "down") server.close();
      else if (wasDown) await listen(port);
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of [...sockets, ...forwarded]) socket.destroy();
    },
  };
}

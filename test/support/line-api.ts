import { once } from "node:events";
import { createServer } from "node:http";

/** An API that takes one phone number a line, at /lists/optouts. */
export interface LineApi {
  readonly url: string;
  readonly lines: readonly string[];
  readonly apiKeys: readonly string[];
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startLineApi(): Promise<LineApi> {
  const lines: string[] = [];
  const apiKeys: string[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    apiKeys.push(String(request.headers["x-api-key"]));
    if (request.url === "/lists/optouts") lines.push(...body.split("\n"));
    response.writeHead(request.url === "/lists/optouts" ? 204 : 404).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    lines,
    apiKeys,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

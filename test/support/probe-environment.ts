import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface ProbedRequest {
  key: string;
  body: string;
}

export interface ProbeEnvironment {
  readonly baseUrl: string;
  close(): Promise<void>;
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** An environment that takes everything, and lets a test look at the world while each request is on its way. */
export async function createProbeEnvironment(
  onEntries: (request: ProbedRequest) => Promise<void>,
): Promise<ProbeEnvironment> {
  const server = createServer(async (request, response) => {
    const body = await textOf(request);
    response.setHeader("content-type", "application/json");
    if (request.url?.endsWith("/oauth/token")) {
      response.end(JSON.stringify({ access_token: "probe", token_type: "Bearer", expires_in: 3600 }));
      return;
    }
    await onEntries({ key: String(request.headers["idempotency-key"]), body });
    response.statusCode = 201;
    response.end(
      JSON.stringify({ success: true, entriesProcessed: JSON.parse(body).length, duplicateCount: 0 }),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

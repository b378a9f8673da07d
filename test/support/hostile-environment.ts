import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** An environment whose tokens and answers say what no label may ever be. */
export interface HostileEnvironment {
  readonly baseUrl: string;
  /** Odd answers to entries that it has given. Once there are no more it takes everything. */
  readonly given: number;
  readonly oddities: number;
  close(): Promise<void>;
}

const HEADERS = { "content-type": "application/json", "x-request-id": '+12125550123",evil="1' };
const bodyOf = (status: number): string =>
  JSON.stringify({ error: `reason_of_+1212555${status}`, error_description: "+12125550123\n# EOF", status });

type Oddity = (response: ServerResponse) => void;
const answer =
  (status: number, headers: Record<string, string> = {}, body = bodyOf(status)): Oddity =>
  (response) => {
    response.writeHead(status, `optout_evil{phone="+12125550123"}`, { ...HEADERS, ...headers });
    response.end(body);
  };

const ODDITIES: Oddity[] = [
  ...[200, 203, 299, 302, 402, 403, 404, 408, 409, 418, 425, 451, 499, 500, 503, 511, 599, 799, 999].map(
    (status) => answer(status),
  ),
  answer(429, { "retry-after": "0" }),
  answer(503, { "retry-after": "+12125550123" }),
  answer(201, {}, "\u0000".repeat(100)),
  answer(201, {}, '{"success":"+12125550123","entriesProcessed":"many"}'),
  answer(401),
  (response) => void response.socket?.destroy(),
  (response) => void response.socket?.end("HTTP/9.9 +12125550123 optout_evil\r\n\r\n"),
];

export async function createHostileEnvironment(): Promise<HostileEnvironment> {
  let given = 0;
  const server = createServer(async (request, response) => {
    let size = 0;
    for await (const chunk of request) size += (chunk as Buffer).length;
    if (request.url?.endsWith("/oauth/token")) {
      const token = { access_token: "t", token_type: "Bearer", scope: "+12125550123", expires_in: 3600 };
      response.writeHead(200, HEADERS).end(JSON.stringify(token));
      return;
    }
    const oddity = ODDITIES[given];
    if (oddity !== undefined) {
      given++;
      oddity(response);
      return;
    }
    // More entries than the body can hold: as good as all of them.
    response.writeHead(201, HEADERS);
    response.end(JSON.stringify({ success: true, entriesProcessed: size, duplicateCount: 0 }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get given() {
      return given;
    },
    oddities: ODDITIES.length,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Stands between the relay and an environment: sees the secrets that pass, and can be turned to another one. */
export interface Proxy {
  readonly baseUrl: string;
  /** Every access token that was issued or presented, so that a test can look for them where they mustn't be. */
  readonly tokens: ReadonlySet<string>;
  pointTo(baseUrl: string): void;
  close(): Promise<void>;
}

const REQUEST_HEADERS = ["authorization", "content-type", "idempotency-key", "accept"];
const RESPONSE_HEADERS = ["content-type", "retry-after", "x-request-id", "date"];

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

export async function createProxy(initialTarget: string): Promise<Proxy> {
  const tokens = new Set<string>();
  let target = initialTarget;

  const forward = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const headers = new Headers();
    for (const name of REQUEST_HEADERS) {
      const value = request.headers[name];
      if (typeof value === "string") headers.set(name, value);
    }
    const presented = /^Bearer (.+)$/.exec(headers.get("authorization") ?? "")?.[1];
    if (presented !== undefined) tokens.add(presented);
    const body = await bodyOf(request);
    const answer = await fetch(target + (request.url ?? ""), { method: "POST", headers, body });
    const text = await answer.text();
    const issued = /"access_token":"([^"]+)"/.exec(text)?.[1];
    if (issued !== undefined) tokens.add(issued);
    response.statusCode = answer.status;
    for (const name of RESPONSE_HEADERS) {
      const value = answer.headers.get(name);
      if (value !== null) response.setHeader(name, value);
    }
    response.end(text);
  };

  const server = createServer((request, response) => {
    // A connection that is cut there is cut here.
    forward(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tokens,
    pointTo(baseUrl) {
      target = baseUrl;
    },
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
